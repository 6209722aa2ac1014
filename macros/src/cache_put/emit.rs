//! The shim of `#[cache_put]`: the function as it was, with a look at the entries before its body and the puts after it.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};

use super::model::{Asked, Model};
use crate::hygiene::{ends, generated_at, local};
use crate::item::Function;
use crate::{mention, shim};

pub(crate) fn emit(function: &Function, model: &Model) -> TokenStream {
    let Function { attributes, visibility, signature, body } = function;
    let body = shim::body(&model.output, body);
    let krate = &model.krate;
    let private = krate.private();
    let (ty, shape) = (&model.output.ty, model.output.shape);

    let (put, output, value) = (local("put"), local("output"), local("value"));
    let name = shim::function(krate, &signature.ident);
    let place = model.output.span;
    let alias_check = shim::kind(krate, &model.output)
        .map(|kind| quote_spanned!(generated_at(place)=> #kind.check::<#ty>();));
    let condition = |late: bool| {
        let asked = model.condition.as_ref().filter(|asked| asked.result.is_some() == late)?;
        let expr = &asked.expr;
        Some(with_result(asked, &value, &quote!(#put.only_if(#expr);)))
    };
    let (condition_before, condition_after) = (condition(false), condition(true));
    let before = model.calls.iter().filter(|call| call.result.is_none()).map(|call| {
        let call = shim::reference(&call.expr);
        quote!(#put.before(#call);)
    });
    let after = model.calls.iter().map(|call| with_result(call, &value, &stored(call, &put, &value)));

    // What is named after the body has run must not have moved into it, so the closure takes what it needs and no more.
    quote! {
        #(#attributes)*
        #visibility #signature {
            let mut #put = #private::Put::new(#name);
            #condition_before
            #(#before)*
            #alias_check
            let #output: #ty = #put.run(async || -> #ty #body).await;
            if let #private::Option::Some(#value) = #private::success::<#private::shape::#shape, #ty>(&#output) {
                #condition_after
                #(#after)*
            }
            #put.finish().await;
            #output
        }
    }
}

/// A value of another type is reported at the call.
fn stored(call: &Asked, put: &Ident, value: &Ident) -> TokenStream {
    let expr = &call.expr;
    let place = ends(expr.to_token_stream()).0;
    let mut value = value.clone();
    value.set_span(value.span().located_at(place));
    if call.result.is_some() {
        quote_spanned!(generated_at(place)=> #put.value_named_by_result(#expr, #value);)
    } else {
        quote_spanned!(generated_at(place)=> #put.value(#expr, #value);)
    }
}

/// A statement in which `result` is the value, where it is named.
fn with_result(asked: &Asked, value: &Ident, statement: &TokenStream) -> TokenStream {
    match &asked.result {
        Some(result) => {
            let bind = mention::bind(result, value);
            quote!({ #bind #statement })
        }
        None => statement.clone(),
    }
}
