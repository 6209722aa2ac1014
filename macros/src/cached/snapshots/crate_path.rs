#[allow(refining_impl_trait)]
fn x() -> impl crate::cache::CachedCall<Output = u8, Value = u8> {
    let plan = crate::cache::__private::Plan::new(
            {
                static FUNCTION: crate::cache::__private::Function = crate::cache::__private::Function::of_template(
                    crate::cache::__private::concat!(
                        crate ::cache::__private::module_path!(), "::", "x"
                    ),
                    "x",
                );
                &FUNCTION
            },
            crate::cache::__private::global(),
            const {
                &crate::cache::__private::Options::new()
                    .ttl(crate::cache::__private::Duration::from_millis(3600000))
            },
        )
        .keyed(|key| {
            key.literal("x");
        });
    crate::cache::__private::call::<
        crate::cache::__private::shape::Plain,
        _,
        _,
        _,
        _,
        _,
    >(
        plan,
        {
            use crate::cache::__private::shape::{ViaOther as _, ViaResult as _};
            (&crate::cache::__private::shape::Probe::<u8>::new()).kind()
        }
            .codec::<own::Codec<A, B>, u8>(),
        {
            use crate::cache::__private::shape::{ViaClone as _, ViaNothing as _};
            (&crate::cache::__private::shape::Probe::<u8>::new()).keeper()
        },
        move |value: &u8| crate::cache::__private::Verdict {
            store: crate::cache::__private::accepts(value, is_fresh),
            ttl: crate::cache::__private::Option::None,
        },
        async move || -> u8 {
            let output: u8 = { 0 };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        },
    )
}
