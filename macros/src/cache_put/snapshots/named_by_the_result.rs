impl Service {
    async fn add(&mut self, db: &Db, new: New) -> Product {
        let mut put = ::other::__private::Put::new({
            static FUNCTION: ::other::__private::Function = ::other::__private::Function::new(
                ::other::__private::concat!(
                    ::other::__private::module_path!(), "::", "add"
                ),
            );
            &FUNCTION
        });
        put.before(&self.newest());
        {
            use ::other::__private::shape::{ViaOther as _, ViaResult as _};
            (&::other::__private::shape::Probe::<Product>::new()).kind()
        }
            .check::<Product>();
        let output: Product = put
            .run(async || -> Product {
                let output: Product = { db.add(new).await };
                #[allow(unreachable_code, clippy::needless_return)] return output;
            })
            .await;
        if let ::other::__private::Option::Some(value) = ::other::__private::success::<
            ::other::__private::shape::Plain,
            Product,
        >(&output) {
            {
                #[allow(unused_variables)]
                let result = value;
                put.only_if(result.visible);
            }
            {
                #[allow(unused_variables)]
                let result = value;
                put.value_named_by_result(shop::product::<Db>(db, result.id), value);
            }
            put.value(self.newest(), value);
        }
        put.finish().await;
        output
    }
}
