impl Service {
    async fn rename(&self, id: u64) {
        let mut invalidation = ::other::__private::Invalidation::new(
            {
                static FUNCTION: ::other::__private::Function = ::other::__private::Function::new(
                    ::other::__private::concat!(
                        ::other::__private::module_path!(), "::", "rename"
                    ),
                );
                &FUNCTION
            },
            ::other::__private::home(&(self.home)),
        );
        invalidation.call(&self.product(id));
        invalidation.call(&Self::all());
        {
            use ::other::__private::shape::{ViaOther as _, ViaResult as _};
            (&::other::__private::shape::Probe::<()>::new()).kind()
        }
            .check::<()>();
        ::other::__private::invalidate::<
            ::other::__private::shape::Plain,
            (),
            _,
            _,
            _,
        >(
                invalidation,
                ::other::__private::When::Around,
                async move || -> () { self.db.rename(id).await },
                |_, _| {},
            )
            .await
    }
}
