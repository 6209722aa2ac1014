//! The way every attribute goes: parse the item, validate, and either emit or give the item back with all mistakes.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Item, TraitItemFn};

use crate::diagnostics::Diagnostics;
use crate::item::Function;

/// Expands the attribute `name` on `item`. `emit` is reached only with a model that passed without a mistake. After one,
/// `stand_in` may say what the callers are given, with the probes in its body; otherwise they are given the function.
pub(crate) fn expand<M>(
    name: &str,
    item: &TokenStream,
    validate: impl FnOnce(&Function, &mut Diagnostics) -> Option<M>,
    emit: impl FnOnce(&Function, &M) -> TokenStream,
    stand_in: impl FnOnce(&Function, &TokenStream) -> Option<TokenStream>,
) -> TokenStream {
    let Ok(function) = syn::parse2::<Function>(item.clone()) else {
        let message = format!("`#[{name}]` goes on an `async fn` with a body; {}", instead(item));
        let error = syn::Error::new(Span::call_site(), message).to_compile_error();
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
    let item = stand_in(&function, &report.probes)
        .unwrap_or_else(|| function.with_prologue(&report.probes).into_token_stream());
    let errors = report.errors;
    quote!(#item #errors)
}

/// What to do about an attribute on something that is no function with a body.
fn instead(item: &TokenStream) -> &'static str {
    match syn::parse2(item.clone()) {
        Ok(Item::Impl(_)) => "put it on the methods",
        Ok(Item::Trait(_)) => "put it on the methods of an `impl`",
        _ if syn::parse2::<TraitItemFn>(item.clone()).is_ok() => "put it on the method of an `impl`",
        _ => "remove it",
    }
}
