impl Service {
    #[allow(refining_impl_trait)]
    fn user(
        &self,
        id: u64,
        lang: &str,
    ) -> impl ::keylatch::CachedCall<Output = User, Value = User> {
        const _: () = {
            mod check {
                #[allow(dead_code, unused_variables, non_snake_case)]
                fn template(id: &str, lang: &str) {
                    let _ = ::core::format_args!("user:{uid}:{lang}");
                }
            }
        };
        ::keylatch::__private::call::<
            ::keylatch::__private::shape::Plain,
            _,
            _,
            _,
            _,
            _,
        >(
            ::keylatch::__private::missing(),
            ::keylatch::__private::missing(),
            ::keylatch::__private::missing(),
            ::keylatch::__private::always,
            async move || -> User {
                let output: User = { load(id).await };
                #[allow(unreachable_code, clippy::needless_return)] return output;
            },
        )
    }
}
