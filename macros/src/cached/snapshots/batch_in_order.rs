impl Service {
    #[allow(refining_impl_trait)]
    fn prices(
        &self,
        skus: &[Sku],
    ) -> impl ::keylatch::CachedBatch<
        Output = Vec<Option<u64>>,
        Value = Vec<Option<u64>>,
    > {
        #[allow(unused_mut)]
        let mut plan = ::keylatch::__private::Plan::new(
            {
                static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::of_template(
                    ::keylatch::__private::concat!(
                        ::keylatch::__private::module_path!(), "::", "prices"
                    ),
                    "price:{}:{}",
                );
                &FUNCTION
            },
            ::keylatch::__private::global(),
            const {
                &::keylatch::__private::Options::new()
                    .ttl(::keylatch::__private::Duration::from_millis(60000))
                    .negative_ttl(::keylatch::__private::Option::None)
            },
        );
        let entries = ::keylatch::__private::entries(
            plan,
            ::keylatch::__private::owned(skus),
            |plan, element| {
                plan.key(|key| {
                    key.literal("price:");
                    ::keylatch::__private::part(key, &self.tenant);
                    key.literal(":");
                    ::keylatch::__private::part(key, element);
                });
            },
        );
        let gathering = ::keylatch::__private::keyed::<
            Vec<Option<u64>>,
            Sku,
            u64,
        >(&entries);
        ::keylatch::__private::batch::<
            ::keylatch::__private::shape::Plain,
            _,
            _,
            _,
            _,
            _,
            _,
        >(
            entries,
            gathering,
            {
                use ::keylatch::__private::shape::{ViaOther as _, ViaResult as _};
                (&::keylatch::__private::shape::Probe::<Vec<Option<u64>>>::new()).kind()
            }
                .codec::<::keylatch::__private::codecs::MessagePack, u64>(),
            move |value: &u64| ::keylatch::__private::Verdict {
                store: {
                    #[allow(unused_variables)]
                    let result = value;
                    *result > 0
                },
                ttl: ::keylatch::__private::Option::None,
            },
            move |missing| {
                ::keylatch::__private::once(async move || -> Vec<Option<u64>> {
                    let skus: &[_] = &missing;
                    {
                        let output: Vec<Option<u64>> = { self.load(skus).await };
                        #[allow(unreachable_code, clippy::needless_return)]
                        return output;
                    }
                })
            },
        )
    }
}
