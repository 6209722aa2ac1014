#[allow(refining_impl_trait)]
fn products(
    db: &Db,
    shop: u64,
    ids: Vec<u64>,
) -> impl ::keylatch::CachedBatch<
    Output = Result<HashMap<u64, Product>, Error>,
    Value = HashMap<u64, Product>,
> {
    #[allow(unused_mut)]
    let mut plan = ::keylatch::__private::Plan::new(
        {
            static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::of_template(
                ::keylatch::__private::concat!(
                    ::keylatch::__private::module_path!(), "::", "products"
                ),
                "product:{}:{}",
            );
            &FUNCTION
        },
        ::keylatch::__private::global(),
        const {
            &::keylatch::__private::Options::new()
                .ttl(::keylatch::__private::Duration::from_millis(3600000))
        },
    );
    let entries = ::keylatch::__private::entries(
        plan,
        ids,
        |plan, element| {
            plan.key(|key| {
                    key.literal("product:");
                    ::keylatch::__private::part(key, &shop);
                    key.literal(":");
                    ::keylatch::__private::part(key, element);
                })
                .tag(|key| {
                    key.literal("shop:");
                    ::keylatch::__private::part(key, &shop);
                })
                .tag(|key| {
                    key.literal("product:");
                    ::keylatch::__private::part(key, element);
                });
        },
    );
    let gathering = ::keylatch::__private::keyed::<
        HashMap<u64, Product>,
        u64,
        Product,
    >(&entries);
    ::keylatch::__private::batch::<
        ::keylatch::__private::shape::Fallible,
        _,
        _,
        _,
        _,
        _,
        _,
    >(
        entries,
        gathering,
        ::keylatch::__private::codec::<
            ::keylatch::__private::codecs::MessagePack,
            Product,
        >(),
        ::keylatch::__private::always,
        move |missing| {
            let db = ::keylatch::__private::again(&db);
            let shop = ::keylatch::__private::again(&shop);
            ::keylatch::__private::once(async move || -> Result<
                HashMap<u64, Product>,
                Error,
            > {
                let ids = missing;
                {
                    let output: Result<HashMap<u64, Product>, Error> = {
                        db.load(shop, &ids).await
                    };
                    #[allow(unreachable_code, clippy::needless_return)] return output;
                }
            })
        },
    )
}
