impl Service {
    async fn reserve<T>(&mut self) -> Result<Receipt, ReserveError>
    where
        T: Send,
    {
        let lock = ::other::__private::Lock::new(
                ::other::__private::home(&(&self.home)),
                |key| {
                    key.literal("stock:");
                    ::other::__private::part(key, &self.shop);
                },
            )
            .ttl(::other::__private::Duration::from_millis(30000))
            .wait(WAIT)
            .max_hold(::other::__private::Duration::from_millis(300000))
            .fence()
            .extend_off()
            .on_lost_continue();
        ::other::__private::with_lock(
                lock,
                ::other::__private::refusal::<Result<Receipt, ReserveError>>(),
                async move |lock: ::other::Lease| -> Result<Receipt, ReserveError> {
                    let output: Result<Receipt, ReserveError> = {
                        self.take(lock.token()).await
                    };
                    #[allow(unreachable_code, clippy::needless_return)] return output;
                },
            )
            .await
    }
}
