impl Service {
    async fn user(&self, id: u64, lang: &str) -> User {
        const _: () = {
            mod check {
                #[allow(dead_code, unused_variables, non_snake_case)]
                fn template(id: &str, lang: &str) {
                    let _ = ::core::format_args!("user:{uid}:{lang}");
                }
            }
        };
        load(id).await
    }
}
