//! The shim of `#[cache_invalidate]`: the function as it was, its body handed to the runtime with what to invalidate.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::args::When;
use super::model::{Action, Model, Step};
use crate::crate_path::CratePath;
use crate::hygiene::{generated_at, local};
use crate::item::Function;
use crate::{mention, shim, writes};

pub(crate) fn emit(function: &Function, model: &Model) -> TokenStream {
    let Function { attributes, visibility, signature, body } = function;
    let body = shim::body(&model.output, body);
    let krate = &model.krate;
    let private = krate.private();
    let (ty, shape) = (&model.output.ty, model.output.shape);

    let invalidation = local("invalidation");
    let function = shim::function(krate, &signature.ident);
    let home = shim::home(krate, model.using.as_ref());
    let place = model.output.span;
    let alias_check = shim::kind(krate, &model.output)
        .map(|kind| quote_spanned!(generated_at(place)=> #kind.check::<#ty>();));
    let before = model.steps.iter().filter(|step| step.result.is_none()).map(|step| statement(step, krate));
    let when = match model.when {
        When::After => quote!(After),
        When::Around => quote!(Around),
    };
    let waits = model.steps.iter().any(|step| step.result.is_some());
    // What is named after the body has run must not have moved into it.
    let capture = (!waits).then(|| quote!(move));
    let later = if waits { later(model) } else { quote!(|_, _| {}) };
    // Without a step before the body nothing changes it here, and `mut` would be a warning.
    let mutable = model.steps.iter().any(|step| step.result.is_none()).then(|| quote!(mut));

    quote! {
        #(#attributes)*
        #visibility #signature {
            let #mutable #invalidation = #private::Invalidation::new(#function, #home);
            #(#before)*
            #alias_check
            #private::invalidate::<#private::shape::#shape, #ty, _, _, _>(
                #invalidation,
                #private::When::#when,
                async #capture || -> #ty #body,
                #later,
            )
            .await
        }
    }
}

/// A closure that adds what depends on the returned value.
fn later(model: &Model) -> TokenStream {
    let private = model.krate.private();
    let (invalidation, value) = (local("invalidation"), local("value"));
    let ty = &model.output.value;
    let statements = model.steps.iter().filter_map(|step| {
        let bind = mention::bind(step.result.as_ref()?, &value);
        let statement = statement(step, &model.krate);
        Some(quote!({ #bind #statement }))
    });
    quote!(|#invalidation: &mut #private::Invalidation, #value: &#ty| { #(#statements)* })
}

fn statement(step: &Step, krate: &CratePath) -> TokenStream {
    let invalidation = local("invalidation");
    match &step.action {
        Action::Call(call) => {
            let call = shim::reference(call);
            quote!(#invalidation.call(#call);)
        }
        Action::OnlyIf(condition) => quote!(#invalidation.only_if(#condition);),
        Action::Tag(tag) => {
            let write = writes::emit(tag, krate);
            quote!(#invalidation.tag(#write);)
        }
        Action::Pattern(pattern) => {
            let write = writes::emit(pattern, krate);
            quote!(#invalidation.pattern(#write);)
        }
    }
}
