async fn add(db: &Db, new: New) -> Result<Product, Error> {
    let mut invalidation = ::keylatch::__private::Invalidation::new(
        {
            static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::new(
                ::keylatch::__private::concat!(
                    ::keylatch::__private::module_path!(), "::", "add"
                ),
            );
            &FUNCTION
        },
        ::keylatch::__private::global(),
    );
    invalidation.call(&list(db));
    ::keylatch::__private::invalidate::<
        ::keylatch::__private::shape::Fallible,
        Result<Product, Error>,
        _,
        _,
        _,
    >(
            invalidation,
            ::keylatch::__private::When::After,
            async || -> Result<Product, Error> {
                let output: Result<Product, Error> = { db.add(new).await };
                #[allow(unreachable_code, clippy::needless_return)] return output;
            },
            |invalidation: &mut ::keylatch::__private::Invalidation, value: &Product| {
                {
                    #[allow(unused_variables)]
                    let result = value;
                    invalidation.call(&shop::product::<Db>(db, result.id));
                }
                {
                    #[allow(unused_variables)]
                    let result = value;
                    invalidation
                        .tag(|key| {
                            key.literal("shop:");
                            ::keylatch::__private::part(key, &result.shop);
                        });
                }
                {
                    #[allow(unused_variables)]
                    let result = value;
                    invalidation.only_if(result.changed);
                }
            },
        )
        .await
}
