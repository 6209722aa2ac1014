async fn report(shop: u64) -> Result<(), LockError> {
    let lock = ::keylatch::__private::Lock::exclusive(
            ::keylatch::__private::global(),
            |key| {
                key.literal("report:");
                ::keylatch::__private::part(key, &shop);
            },
        )
        .ttl(::keylatch::__private::Duration::from_millis(30000));
    ::keylatch::__private::with_lock(
            lock,
            ::keylatch::__private::refusal::<Result<(), LockError>>(),
            async move |_: ::keylatch::Lease| -> Result<(), LockError> {
                let output: Result<(), LockError> = { Ok(()) };
                #[allow(unreachable_code, clippy::needless_return)] return output;
            },
        )
        .await
}
