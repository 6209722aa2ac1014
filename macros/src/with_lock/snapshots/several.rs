async fn transfer(from: u64, to: u64, outer: Option<&Lease>) -> Result<(), LockError> {
    let lock = ::keylatch::__private::Lock::several(
            ::keylatch::__private::global(),
            &[
                &|key| {
                    key.literal("account:");
                    ::keylatch::__private::part(key, &from);
                },
                &|key| {
                    key.literal("account:");
                    ::keylatch::__private::part(key, &to);
                },
            ],
        )
        .ttl(::keylatch::__private::Duration::from_millis(30000))
        .within(&outer);
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
