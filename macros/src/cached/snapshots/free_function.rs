#[allow(refining_impl_trait)]
/// Loads a product.
pub fn product(
    db: &Db,
    shop: u64,
    id: u64,
) -> impl ::keylatch::CachedCall<Output = Result<Product, Error>, Value = Product> {
    let mut plan = ::keylatch::__private::Plan::new(
            {
                static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::of_template(
                    ::keylatch::__private::concat!(
                        ::keylatch::__private::module_path!(), "::", "product"
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
        )
        .keyed(|key| {
            key.literal("product:");
            ::keylatch::__private::part(key, &shop);
            key.literal(":");
            ::keylatch::__private::part(key, &id);
        });
    plan.tag(|key| {
        key.literal("shop:");
        ::keylatch::__private::part(key, &shop);
    });
    ::keylatch::__private::call::<
        ::keylatch::__private::shape::Fallible,
        _,
        _,
        _,
        _,
        _,
    >(
        plan,
        ::keylatch::__private::codec::<
            ::keylatch::__private::codecs::MessagePack,
            Product,
        >(),
        {
            use ::keylatch::__private::shape::{ViaClone as _, ViaNothing as _};
            (&::keylatch::__private::shape::Probe::<Product>::new()).keeper()
        },
        ::keylatch::__private::always,
        async move || -> Result<Product, Error> {
            let output: Result<Product, Error> = { db.load(shop, id).await };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        },
    )
}
