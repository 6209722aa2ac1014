async fn reserve(sku: &str, quantity: u32) -> Result<Receipt, ReserveError> {
    let lock = ::keylatch::__private::Lock::new(
            ::keylatch::__private::global(),
            |key| {
                key.literal("stock:");
                ::keylatch::__private::part(key, &sku);
            },
        )
        .ttl(::keylatch::__private::Duration::from_millis(30000))
        .wait(::keylatch::__private::Duration::from_millis(0));
    ::keylatch::__private::with_lock(
            lock,
            ::keylatch::__private::refusal::<Result<Receipt, ReserveError>>(),
            async move |_: ::keylatch::Lease| -> Result<Receipt, ReserveError> {
                let output: Result<Receipt, ReserveError> = {
                    take(sku, quantity).await
                };
                #[allow(unreachable_code, clippy::needless_return)] return output;
            },
        )
        .await
}
