/// Renames.
pub async fn rename(db: &Db, shop: u64, id: u64, name: &str) -> Result<(), Error> {
    let mut invalidation = ::keylatch::__private::Invalidation::new(
        {
            static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::new(
                ::keylatch::__private::concat!(
                    ::keylatch::__private::module_path!(), "::", "rename"
                ),
            );
            &FUNCTION
        },
        ::keylatch::__private::global(),
    );
    invalidation.call(&product(db, shop, id));
    invalidation
        .tag(|key| {
            key.literal("shop:");
            ::keylatch::__private::part(key, &shop);
        });
    invalidation
        .pattern(|key| {
            key.literal("product:");
            ::keylatch::__private::part(key, &shop);
            key.literal(":");
            key.wildcard();
        });
    invalidation.only_if(id > 7);
    ::keylatch::__private::invalidate::<
        ::keylatch::__private::shape::Fallible,
        Result<(), Error>,
        _,
        _,
        _,
    >(
            invalidation,
            ::keylatch::__private::When::After,
            async move || -> Result<(), Error> {
                let output: Result<(), Error> = { db.rename(id, name).await };
                #[allow(unreachable_code, clippy::needless_return)] return output;
            },
            |_, _| {},
        )
        .await
}
