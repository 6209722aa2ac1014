#[allow(refining_impl_trait, clippy::needless_pass_by_value)]
fn page(
    pool: Pool,
    path: String,
) -> impl ::keylatch::CachedCall<Output = Result<Page, Error>, Value = Page> {
    let plan = ::keylatch::__private::Plan::new(
            {
                static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::of_template(
                    ::keylatch::__private::concat!(
                        ::keylatch::__private::module_path!(), "::", "page"
                    ),
                    "page:{}",
                );
                &FUNCTION
            },
            ::keylatch::__private::global(),
            const {
                &::keylatch::__private::Options::new()
                    .ttl(::keylatch::__private::Duration::from_millis(3600000))
                    .refresh_after(::keylatch::__private::Duration::from_millis(300000))
                    .stale_if_error(
                        ::keylatch::__private::Duration::from_millis(86400000),
                    )
            },
        )
        .keyed(|key| {
            key.literal("page:");
            ::keylatch::__private::part(key, &path);
        });
    ::keylatch::__private::call_refreshing::<
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
            Page,
        >(),
        {
            use ::keylatch::__private::shape::{ViaClone as _, ViaNothing as _};
            (&::keylatch::__private::shape::Probe::<Page>::new()).keeper()
        },
        ::keylatch::__private::always,
        async move || -> Result<Page, Error> {
            let output: Result<Page, Error> = { pool.load(&path).await };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        },
    )
}
