//! The shim of `#[cached]`: a function that returns a handle, built from a plan and the body.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Expr;

use super::args::Codec;
use super::key::Key;
use super::model::{Model, Settings};
use crate::crate_path::CratePath;
use crate::hygiene::{generated_at, local};
use crate::item::Function;
use crate::value::OrOff;
use crate::{mention, shim, writes};

pub(crate) fn emit(function: &Function, model: &Model) -> TokenStream {
    let Function { attributes, visibility, signature, body } = function;
    let body = shim::body(&model.output, body);
    let (name, inputs) = (&signature.ident, &signature.inputs);
    let (generics, where_clause) = (&signature.generics, &signature.generics.where_clause);
    let krate = &model.krate;
    let private = krate.private();
    let output = &model.output;
    let (ty, value, shape) = (&output.ty, &output.value, output.shape);

    let plan = local("plan");
    let function = shim::function(krate, name);
    let home = shim::home(krate, model.using.as_ref());
    let steps = steps(model);
    let alias_check = shim::alias_check(krate, output);
    let codec = codec(model);
    let verdict = verdict(model);

    // A trait may declare the function as `async fn`, which the handle refines. In an inherent `impl` nothing is refined.
    quote! {
        #[allow(refining_impl_trait)]
        #(#attributes)*
        #visibility fn #name #generics (#inputs) -> impl #krate::CachedCall<Output = #ty, Value = #value> #where_clause {
            let #plan = #private::Plan::new(#function, #home) #(#steps)*;
            #alias_check
            #private::call::<#private::shape::#shape, #ty, _, _, _, _>(
                #plan,
                #codec,
                #verdict,
                async move || -> #ty #body,
            )
        }
    }
}

/// The calls that complete the plan.
fn steps(model: &Model) -> Vec<TokenStream> {
    let krate = &model.krate;
    let tags = model.tags.iter().map(|tag| {
        let write = writes::emit(tag, krate);
        quote!(.tag(#write))
    });
    let depends_on = model.depends_on.iter().map(|call| quote!(.depends_on(&#call)));
    std::iter::once(key(&model.key, krate))
        .chain(tags)
        .chain(depends_on)
        .chain(settings(&model.settings, krate))
        .collect()
}

fn key(key: &Key, krate: &CratePath) -> TokenStream {
    match key {
        Key::Explicit(key) => {
            let write = writes::emit(key, krate);
            quote!(.key(#write))
        }
        Key::Default(key) => {
            let private = krate.private();
            let write = writes::emit(key, krate);
            // The name of a closure's type holds the path of the function, with the type of the `impl` and its type
            // arguments. A nested function would know the latter only as `_`, and `Repo<A>` and `Repo<B>` would meet.
            quote!(.default_key(#private::path_of(&|| {}), #write))
        }
    }
}

fn settings(settings: &Settings, krate: &CratePath) -> Vec<TokenStream> {
    let private = krate.private();
    let mut calls = Vec::new();
    let mut call = |name: &str, value: Option<TokenStream>| {
        let name = quote::format_ident!("{name}");
        calls.extend(value.map(|value| quote!(.#name(#value))));
    };
    let duration = |duration: &crate::value::Duration| duration.emit(&private);
    let negative_ttl = |negative_ttl: &OrOff<_>| match negative_ttl {
        OrOff::Off => quote!(#private::Option::None),
        OrOff::Value(value) => {
            let value = duration(value);
            quote!(#private::Option::Some(#value))
        }
    };
    call("ttl", settings.ttl.as_ref().map(duration));
    call("negative_ttl", settings.negative_ttl.as_ref().map(negative_ttl));
    call("jitter", settings.jitter.map(|fraction| Literal::f64_suffixed(fraction).into_token_stream()));
    call("timeout", settings.timeout.as_ref().map(duration));
    call("load_timeout", settings.load_timeout.as_ref().map(duration));
    call("version", settings.version.map(|version| Literal::u32_suffixed(version).into_token_stream()));
    call("hold_off", settings.hold_off.as_ref().map(duration));
    call("untracked", settings.untracked.then(TokenStream::new));
    calls
}

/// Reported at the return type, which is what cannot be written when it does not compile.
fn codec(model: &Model) -> TokenStream {
    let private = model.krate.private();
    let payload = &model.output.payload;
    let codec = match &model.codec {
        Codec::Named(name) => {
            let name = quote::format_ident!("{name}");
            quote!(#private::codecs::#name)
        }
        Codec::Own(ty) => ty.to_token_stream(),
    };
    quote_spanned!(generated_at(model.output.span)=> #private::codec::<#codec, #payload>())
}

/// What becomes of a value: whether it is stored, and for how long.
fn verdict(model: &Model) -> TokenStream {
    let private = model.krate.private();
    if model.cache_if.is_none() && model.ttl_from.is_none() {
        return quote!(#private::always);
    }
    let value = local("value");
    let ty = &model.output.value;
    let store = model.cache_if.as_ref().map_or_else(|| quote!(true), |expr| ask(expr, &private));
    let ttl = model.ttl_from.as_ref().map_or_else(
        || quote!(#private::Option::None),
        |expr| {
            let answer = ask(expr, &private);
            quote!(#private::Into::<#private::Option<#private::Duration>>::into(#answer))
        },
    );
    quote!(move |#value: &#ty| #private::Verdict { store: #store, ttl: #ttl })
}

/// The answer of an expression about the value: of a function that takes it, or of an expression that names `result`.
fn ask(expr: &Expr, private: &TokenStream) -> TokenStream {
    let value = local("value");
    let function = match crate::arguments::peel(expr) {
        Expr::Closure(_) => true,
        Expr::Path(path) => !path.path.is_ident("result"),
        _ => false,
    };
    if function {
        return quote!(#private::ask(#value, #expr));
    }
    match mention::find(expr.to_token_stream(), "result") {
        Some(result) => {
            let bind = mention::bind(&result, &value);
            quote!({ #bind #expr })
        }
        None => expr.to_token_stream(),
    }
}
