#[allow(refining_impl_trait)]
fn user(
    id: &str,
) -> impl ::keylatch::CachedCall<Output = Option<User>, Value = Option<User>> {
    let plan = ::keylatch::__private::Plan::new(
            {
                static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::of_template(
                    ::keylatch::__private::concat!(
                        ::keylatch::__private::module_path!(), "::", "user"
                    ),
                    "user:{}",
                );
                &FUNCTION
            },
            ::keylatch::__private::global(),
            const {
                &::keylatch::__private::Options::new()
                    .ttl(::keylatch::__private::Duration::from_millis(3600000))
                    .negative_ttl(
                        ::keylatch::__private::Option::Some(
                            ::keylatch::__private::Duration::from_micros(250),
                        ),
                    )
            },
        )
        .keyed(|key| {
            key.literal("user:");
            ::keylatch::__private::part(key, &id);
        });
    ::keylatch::__private::call::<
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
            (&::keylatch::__private::shape::Probe::<Option<User>>::new()).kind()
        }
            .codec::<::keylatch::__private::codecs::MessagePack, User>(),
        {
            use ::keylatch::__private::shape::{ViaClone as _, ViaNothing as _};
            (&::keylatch::__private::shape::Probe::<Option<User>>::new()).keeper()
        },
        ::keylatch::__private::always,
        async move || -> Option<User> {
            let output: Option<User> = { None };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        },
    )
}
