#[allow(refining_impl_trait)]
fn find(
    db: &Db,
    (shop, _): (u64, u64),
    Path(id): Path<u64>,
) -> impl ::keylatch::CachedCall<Output = io::Result<Option<Row>>, Value = Option<Row>> {
    let mut plan = ::keylatch::__private::Plan::new(
            {
                static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::new(
                    ::keylatch::__private::concat!(
                        ::keylatch::__private::module_path!(), "::", "find"
                    ),
                );
                &FUNCTION
            },
            ::keylatch::__private::global(),
            const { &::keylatch::__private::Options::new() },
        )
        .keyed_by_path(
            ::keylatch::__private::path_of(&|| {}),
            |key| {
                key.literal(":");
                ::keylatch::__private::part(key, &shop);
                key.literal(":");
                ::keylatch::__private::part(key, &id);
            },
        );
    plan.ttl(TTL);
    ::keylatch::__private::call::<
        ::keylatch::__private::shape::FallibleOptional,
        _,
        _,
        _,
        _,
        _,
    >(
        plan,
        ::keylatch::__private::codec::<
            ::keylatch::__private::codecs::MessagePack,
            Row,
        >(),
        {
            use ::keylatch::__private::shape::{ViaClone as _, ViaNothing as _};
            (&::keylatch::__private::shape::Probe::<Option<Row>>::new()).keeper()
        },
        ::keylatch::__private::always,
        async move || -> io::Result<Option<Row>> {
            let output: io::Result<Option<Row>> = { todo!() };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        },
    )
}
