#[allow(refining_impl_trait)]
fn session(
    id: &str,
) -> impl ::keylatch::CachedCall<Output = Option<Session>, Value = Option<Session>> {
    let plan = ::keylatch::__private::Plan::new(
            {
                static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::of_template(
                    ::keylatch::__private::concat!(
                        ::keylatch::__private::module_path!(), "::", "session"
                    ),
                    "session:{}",
                );
                &FUNCTION
            },
            ::keylatch::__private::global(),
            const {
                &::keylatch::__private::Options::new()
                    .ttl(::keylatch::__private::Duration::from_millis(1800000))
                    .sliding()
            },
        )
        .keyed(|key| {
            key.literal("session:");
            ::keylatch::__private::part(key, &id);
        });
    ::keylatch::__private::call_aging::<
        ::keylatch::__private::shape::Optional,
        _,
        _,
        _,
        _,
        _,
    >(
        plan,
        {
            use ::keylatch::__private::shape::{ViaOther as _, ViaResult as _};
            (&::keylatch::__private::shape::Probe::<Option<Session>>::new()).kind()
        }
            .codec::<::keylatch::__private::codecs::MessagePack, Session>(),
        {
            use ::keylatch::__private::shape::{ViaClone as _, ViaNothing as _};
            (&::keylatch::__private::shape::Probe::<Option<Session>>::new()).keeper()
        },
        ::keylatch::__private::always,
        async move || -> Option<Session> {
            let output: Option<Session> = { None };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        },
    )
}
