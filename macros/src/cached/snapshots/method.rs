impl Service {
    #[allow(refining_impl_trait)]
    fn price(
        &self,
        pair: (u64, u64),
    ) -> impl ::keylatch::CachedCall<Output = Price, Value = Price>
    where
        Self: Sized,
    {
        let plan = ::keylatch::__private::Plan::new(
                {
                    static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::of_template(
                        ::keylatch::__private::concat!(
                            ::keylatch::__private::module_path!(), "::", "price"
                        ),
                        "price:{}:{}:{}",
                    );
                    &FUNCTION
                },
                ::keylatch::__private::global(),
                const {
                    &::keylatch::__private::Options::new()
                        .ttl(::keylatch::__private::Duration::from_millis(90000))
                },
            )
            .keyed(|key| {
                key.literal("price:");
                ::keylatch::__private::part(key, &self.tenant);
                key.literal(":");
                ::keylatch::__private::part(key, &pair.0);
                key.literal(":");
                ::keylatch::__private::part(key, &self);
            });
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
                (&::keylatch::__private::shape::Probe::<Price>::new()).kind()
            }
                .codec::<::keylatch::__private::codecs::MessagePack, Price>(),
            {
                use ::keylatch::__private::shape::{ViaClone as _, ViaNothing as _};
                (&::keylatch::__private::shape::Probe::<Price>::new()).keeper()
            },
            ::keylatch::__private::always,
            async move || -> Price {
                let output: Price = { self.load(pair).await };
                #[allow(unreachable_code, clippy::needless_return)] return output;
            },
        )
    }
}
