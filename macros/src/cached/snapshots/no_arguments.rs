#[allow(refining_impl_trait)]
fn all() -> impl ::keylatch::CachedCall<Output = Vec<Row>, Value = Vec<Row>> {
    let plan = ::keylatch::__private::Plan::new(
            {
                static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::new(
                    ::keylatch::__private::concat!(
                        ::keylatch::__private::module_path!(), "::", "all"
                    ),
                );
                &FUNCTION
            },
            ::keylatch::__private::global(),
            const {
                &::keylatch::__private::Options::new()
                    .ttl(::keylatch::__private::Duration::from_millis(3600000))
            },
        )
        .keyed_by_path(::keylatch::__private::path_of(&|| {}), |_| {});
    ::keylatch::__private::call::<
        ::keylatch::__private::shape::Plain,
        _,
        _,
        _,
        _,
        _,
    >(
        plan,
        {
            use ::keylatch::__private::shape::{ViaOther as _, ViaResult as _};
            (&::keylatch::__private::shape::Probe::<Vec<Row>>::new()).kind()
        }
            .codec::<::keylatch::__private::codecs::MessagePack, Vec<Row>>(),
        {
            use ::keylatch::__private::shape::{ViaClone as _, ViaNothing as _};
            (&::keylatch::__private::shape::Probe::<Vec<Row>>::new()).keeper()
        },
        ::keylatch::__private::always,
        async move || -> Vec<Row> {
            let output: Vec<Row> = { load().await };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        },
    )
}
