//! The shim of `#[with_lock]`: the function as it was, its body handed to the runtime with the lock to take.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};

use super::args::{Extend, OnLost};
use super::model::Model;
use super::target::{Kind, Target};
use crate::hygiene::{generated_at, local};
use crate::item::Function;
use crate::{shim, writes};

pub(crate) fn emit(function: &Function, model: &Model) -> TokenStream {
    let Function { attributes, visibility, signature, body } = function;
    let body = shim::body(&model.output, body);
    let krate = &model.krate;
    let private = krate.private();
    let ty = &model.output.ty;

    let lock = local("lock");
    let constructor = constructor(model);
    let settings = settings(model);
    // Reported at the return type: it is what cannot hold the failure of a lock when this does not compile.
    let refusal = quote_spanned!(generated_at(model.output.span)=> #private::refusal::<#ty>());
    let lease = model.lease.as_ref().map_or_else(|| quote!(_), ToTokens::to_token_stream);

    quote! {
        #(#attributes)*
        #visibility #signature {
            let #lock = #constructor #settings;
            #private::with_lock(#lock, #refusal, async move |#lease: #krate::Lease| -> #ty #body).await
        }
    }
}

fn constructor(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let private = krate.private();
    let home = shim::home(krate, model.using.as_ref());
    match &model.target {
        Target::One(key, kind) => {
            let key = writes::emit(key, krate);
            match kind {
                Kind::Mutex => quote!(#private::Lock::new(#home, #key)),
                Kind::Shared => quote!(#private::Lock::shared(#home, #key)),
                Kind::Exclusive => quote!(#private::Lock::exclusive(#home, #key)),
                Kind::Permits(permits) => quote!(#private::Lock::semaphore(#home, #key, #permits)),
            }
        }
        Target::Several(keys) => {
            let keys = keys.iter().map(|key| writes::emit(key, krate));
            quote!(#private::Lock::several(#home, &[#(&#keys),*]))
        }
    }
}

fn settings(model: &Model) -> TokenStream {
    let private = model.krate.private();
    let ttl = model.ttl.emit(&private);
    let mut calls = quote!(.ttl(#ttl));
    if let Some(wait) = &model.wait {
        let wait = wait.emit(&private);
        calls.extend(quote!(.wait(#wait)));
    }
    if let Some(max_hold) = &model.max_hold {
        let max_hold = max_hold.emit(&private);
        calls.extend(quote!(.max_hold(#max_hold)));
    }
    if model.fence {
        calls.extend(quote!(.fence()));
    }
    if model.extend == Extend::Off {
        calls.extend(quote!(.extend_off()));
    }
    if model.on_lost == OnLost::Continue {
        calls.extend(quote!(.on_lost_continue()));
    }
    if let Some(within) = &model.within {
        let within = shim::reference(within);
        calls.extend(quote!(.within(#within)));
    }
    calls
}
