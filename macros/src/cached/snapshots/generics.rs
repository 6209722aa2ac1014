#[allow(refining_impl_trait)]
fn get<'a, T, const N: usize, K: KeyPart>(
    id: &'a K,
    load: impl Fn() -> T,
) -> impl ::keylatch::CachedCall<Output = Result<[T; N], &'a str>, Value = [T; N]>
where
    T: Clone,
{
    let plan = ::keylatch::__private::Plan::new(
            {
                static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::of_template(
                    ::keylatch::__private::concat!(
                        ::keylatch::__private::module_path!(), "::", "get"
                    ),
                    "{}",
                );
                &FUNCTION
            },
            ::keylatch::__private::global(),
            const {
                &::keylatch::__private::Options::new()
                    .ttl(::keylatch::__private::Duration::from_millis(3600000))
            },
        )
        .keyed(|key| {
            ::keylatch::__private::part(key, &id);
            key.literal("<");
            ::keylatch::__private::part(key, &N);
            key.literal(">");
        });
    ::keylatch::__private::call::<
        ::keylatch::__private::shape::Fallible,
        _,
        _,
        _,
        _,
        _,
    >(
        plan,
        ::keylatch::__private::codec::<
            ::keylatch::__private::codecs::MessagePack,
            [T; N],
        >(),
        ::keylatch::__private::Option::None,
        ::keylatch::__private::always,
        async move || -> Result<[T; N], &'a str> {
            let output: Result<[T; N], &'a str> = { load() };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        },
    )
}
