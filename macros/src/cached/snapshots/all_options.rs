impl Service {
    #[allow(refining_impl_trait)]
    #[inline]
    fn rate(
        &self,
        bank: &Bank,
        from: Currency,
        to: Currency,
    ) -> impl ::other::CachedCall<
        Output = Result<Option<Rate>, Error>,
        Value = Option<Rate>,
    > {
        let mut plan = ::other::__private::Plan::new(
                {
                    static FUNCTION: ::other::__private::Function = ::other::__private::Function::of_template(
                        ::other::__private::concat!(
                            ::other::__private::module_path!(), "::", "rate"
                        ),
                        "rate:{}/{}",
                    );
                    &FUNCTION
                },
                ::other::__private::home(&(self.keylatch)),
                const {
                    &::other::__private::Options::new()
                        .timeout(::other::__private::Duration::from_millis(50))
                        .load_timeout(::other::__private::Duration::from_millis(5000))
                        .hold_off(::other::__private::Duration::from_millis(60000))
                        .negative_ttl(::other::__private::Option::None)
                        .jitter(0.1f64)
                        .version(3u32)
                        .compress(::other::__private::compressions::Zstd)
                        .compress_above(4096usize)
                        .untracked()
                        .fixed_tags(&["rates"])
                },
            )
            .keyed(|key| {
                key.literal("rate:");
                ::other::__private::part(key, &from);
                key.literal("/");
                ::other::__private::part(key, &to);
            });
        plan.tag(|key| {
                key.literal("bank:");
                ::other::__private::part(key, &bank.id);
            })
            .depends_on(&bank_of(from))
            .depends_on(&self.other::<u8>(to))
            .ttl(Duration::from_secs(60));
        ::other::__private::call::<
            ::other::__private::shape::FallibleOptional,
            _,
            _,
            _,
            _,
            _,
        >(
            plan,
            {
                use ::other::__private::codecs::Json as __Codec;
                ::other::__private::codec::<__Codec, Rate>()
            },
            {
                use ::other::__private::shape::{ViaClone as _, ViaNothing as _};
                (&::other::__private::shape::Probe::<Option<Rate>>::new()).keeper()
            },
            move |value: &Option<Rate>| ::other::__private::Verdict {
                store: ::other::__private::accepts(value, |rate: &Rate| rate.open),
                ttl: ::other::__private::life({
                    #[allow(unused_variables)]
                    let result = value;
                    result.expires()
                }),
            },
            async move || -> Result<Option<Rate>, Error> {
                let output: Result<Option<Rate>, Error> = { todo!() };
                #[allow(unreachable_code, clippy::needless_return)] return output;
            },
        )
    }
}
