/// Renames.
pub async fn rename(db: &Db, shop: u64, id: u64, name: &str) -> Result<Product, Error> {
    let mut put = ::keylatch::__private::Put::new({
        static FUNCTION: ::keylatch::__private::Function = ::keylatch::__private::Function::new(
            ::keylatch::__private::concat!(
                ::keylatch::__private::module_path!(), "::", "rename"
            ),
        );
        &FUNCTION
    });
    put.only_if(id > 7);
    put.before(&product(db, shop, id));
    let output: Result<Product, Error> = put
        .run(async || -> Result<Product, Error> {
            let output: Result<Product, Error> = { db.rename(id, name).await };
            #[allow(unreachable_code, clippy::needless_return)] return output;
        })
        .await;
    if let ::keylatch::__private::Option::Some(value) = ::keylatch::__private::success::<
        ::keylatch::__private::shape::Fallible,
        Result<Product, Error>,
    >(&output) {
        put.value(product(db, shop, id), value);
    }
    put.finish().await;
    output
}
