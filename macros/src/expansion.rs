//! The way every attribute goes: parse the item, validate, and either emit or give the item back with all mistakes.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};

use crate::diagnostics::Diagnostics;
use crate::item::Function;

/// Expands the attribute `name` on `item`. `emit` is reached only with a model that passed without a mistake.
pub(crate) fn expand<M>(
    name: &str,
    item: &TokenStream,
    validate: impl FnOnce(&Function, &mut Diagnostics) -> Option<M>,
    emit: impl FnOnce(&Function, &M) -> TokenStream,
) -> TokenStream {
    let Ok(function) = syn::parse2::<Function>(item.clone()) else {
        let error =
            syn::Error::new(Span::call_site(), format!("`#[{name}]` goes on an `async fn` with a body"))
                .to_compile_error();
        return quote!(#item #error);
    };

    let mut diagnostics = Diagnostics::default();
    let model = validate(&function, &mut diagnostics);
    if let Some(model) = model
        && diagnostics.is_empty()
    {
        return emit(&function, &model);
    }

    // The item stays, or every caller would also get "cannot find function".
    let report = diagnostics.finish();
    let item = function.with_prologue(&report.probes).into_token_stream();
    let errors = report.errors;
    quote!(#item #errors)
}
