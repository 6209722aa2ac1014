//! The shim of `#[cached]`: a function that returns a handle, built from a plan and the body.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Expr;

use super::args::{Codec, Compress};
use super::key::Key;
use super::model::{Model, Settings};
use crate::crate_path::CratePath;
use crate::hygiene::{ends, generated_at, local, placed_at};
use crate::item::{Function, braces_like};
use crate::signature::Output;
use crate::value::{Duration, OrOff};
use crate::{mention, shim, writes};

pub(crate) fn emit(function: &Function, model: &Model) -> TokenStream {
    let krate = &model.krate;
    let private = krate.private();
    let plan = local("plan");
    let ident = &function.signature.ident;
    let name = match &model.key {
        Key::Explicit(_, template) => shim::function_of_template(krate, ident, template),
        Key::Default(_) => shim::function(krate, ident),
    };
    let home = shim::home(krate, model.using.as_ref());
    if let Some(batch) = &model.batch {
        return super::batch::emit(function, model, batch, &name, &home);
    }
    let (constants, steps) = steps(model);
    let key = key(&model.key, krate, ["keyed", "keyed_by_path"]);
    let aging = &model.settings.aging;
    let entry = match &aging.refresh_after {
        Some(_) => "call_refreshing",
        None if aging.is_any() => "call_aging",
        None => "call",
    };
    let keeper = match &model.settings.local {
        Some(OrOff::Off) => quote!(#private::Option::None),
        _ => shim::keeper(krate, &function.signature, &model.output),
    };
    let parts = [quote!(#plan), codec(model), keeper, verdict(model)];
    let call = call(function, krate, &model.output, entry, parts);
    let plan_of_call = quote!(#private::Plan::new(#name, #home, #constants) #key);
    let plan_of_call = if steps.is_empty() {
        quote!(let #plan = #plan_of_call;)
    } else {
        quote!(let mut #plan = #plan_of_call; #plan #(#steps)*;)
    };
    let body = quote! {
        #plan_of_call
        #call
    };
    // Whatever the body does not use would better be borrowed, says the lint; but here nothing may be.
    let lints = aging.refresh_after.as_ref().map(|_| quote!(, clippy::needless_pass_by_value));
    handle_returning(function, krate, &model.output, &quote!(CachedCall), lints.as_ref(), &body)
}

/// What stands in for a function whose attribute is wrong: its callers compile, and only the mistake is reported.
pub(crate) fn stand_in(
    function: &Function,
    krate: &CratePath,
    output: &Output,
    probes: &TokenStream,
) -> TokenStream {
    let private = krate.private();
    let nothing = quote!(#private::missing());
    let parts = [nothing.clone(), nothing.clone(), nothing, quote!(#private::always)];
    let call = call(function, krate, output, "call", parts);
    handle_returning(function, krate, output, &quote!(CachedCall), None, &quote!(#probes #call))
}

/// The function with another body, which makes a handle. `lints` are those that the body must not be held to.
pub(super) fn handle_returning(
    function: &Function,
    krate: &CratePath,
    output: &Output,
    handle: &TokenStream,
    lints: Option<&TokenStream>,
    body: &TokenStream,
) -> TokenStream {
    let Function { attributes, visibility, signature, body: old } = function;
    let syn::Signature { fn_token, ident, generics, inputs, .. } = signature;
    let where_clause = &generics.where_clause;
    let (ty, value) = (&output.ty, &output.value);
    // Spans of the user's, so that rustc shows the signature where it speaks of the function.
    let krate = placed_at(output.span, krate.to_token_stream());
    let handle = placed_at(generated_at(output.span), handle.clone());
    let result =
        quote_spanned!(generated_at(output.span)=> -> impl #krate::#handle<Output = #ty, Value = #value>);
    let body = braces_like(old, body.clone());
    // A trait may declare the function as `async fn`, which the handle refines. In an inherent `impl` nothing is refined.
    quote! {
        #[allow(refining_impl_trait #lints)]
        #(#attributes)*
        #visibility #fn_token #ident #generics (#inputs) #result #where_clause #body
    }
}

/// The handle, made by that function of the runtime from a plan, a codec, a keeper and a verdict.
fn call(
    function: &Function,
    krate: &CratePath,
    output: &Output,
    entry: &str,
    [plan, codec, keeper, verdict]: [TokenStream; 4],
) -> TokenStream {
    // Reported at the return type: it is what a bound on the value can be unmet by.
    let private = krate.private_at(output.span);
    let (ty, shape) = (&output.ty, output.shape);
    let place = Span::call_site().located_at(output.span);
    let body = shim::body(output, &function.body);
    let arguments = quote!(#plan, #codec, #keeper, #verdict, async move || -> #ty #body);
    let shape = placed_at(place, quote!(#shape));
    let entry = Ident::new(entry, place);
    quote_spanned!(place=> #private::#entry::<#private::shape::#shape, _, _, _, _, _>(#arguments))
}

/// The options that are constants, and the calls that complete the plan.
fn steps(model: &Model) -> (TokenStream, Vec<TokenStream>) {
    let krate = &model.krate;
    let Setters { mut constants, computed } = settings(&model.settings, krate);
    // Tags without placeholders are the same for every call, and are not written anew for each.
    let fixed: Vec<&str> = model.tags.iter().filter_map(|tag| writes::fixed(tag)).collect();
    constants.extend((!fixed.is_empty()).then(|| quote!(.fixed_tags(&[#(#fixed),*]))));
    let tags = model.tags.iter().filter(|tag| writes::fixed(tag).is_none()).map(|tag| {
        let write = writes::emit(tag, krate);
        quote!(.tag(#write))
    });
    let depends_on = model.depends_on.iter().map(|call| {
        let call = shim::reference(call);
        quote!(.depends_on(#call))
    });
    (options(&constants, krate), tags.chain(depends_on).chain(computed).collect())
}

/// Options that all calls of the function share, made while compiling.
pub(super) fn options(constants: &[TokenStream], krate: &CratePath) -> TokenStream {
    let private = krate.private();
    quote!(const { &#private::Options::new() #(#constants)* })
}

/// The call that gives a plan its key, by one of two methods: for a template, and for the function's path.
pub(super) fn key(key: &Key, krate: &CratePath, [by_template, by_path]: [&str; 2]) -> TokenStream {
    let (by_template, by_path) = (quote::format_ident!("{by_template}"), quote::format_ident!("{by_path}"));
    match key {
        Key::Explicit(key, _) => {
            let write = writes::emit(key, krate);
            quote!(.#by_template(#write))
        }
        Key::Default(key) => {
            let private = krate.private();
            let write = writes::emit(key, krate);
            // The name of a closure's type holds the path of the function, with the type of the `impl` and its type
            // arguments. A nested function would know the latter only as `_`, and `Repo<A>` and `Repo<B>` would meet.
            quote!(.#by_path(#private::path_of(&|| {}), #write))
        }
    }
}

/// Calls that set options: of those that are known while compiling, and of those that each call computes.
pub(super) struct Setters {
    pub(super) constants: Vec<TokenStream>,
    pub(super) computed: Vec<TokenStream>,
}

impl Setters {
    fn constant(&mut self, name: &str, value: Option<TokenStream>) {
        let name = quote::format_ident!("{name}");
        self.constants.extend(value.map(|value| quote!(.#name(#value))));
    }

    /// `wrap` makes the argument of the duration's tokens.
    fn duration(
        &mut self,
        name: &str,
        duration: Option<&Duration>,
        krate: &CratePath,
        wrap: impl FnOnce(TokenStream) -> TokenStream,
    ) {
        let Some(duration) = duration else { return };
        let name = quote::format_ident!("{name}");
        let value = wrap(duration.emit(&krate.private()));
        let calls = if duration.is_literal() { &mut self.constants } else { &mut self.computed };
        calls.push(quote!(.#name(#value)));
    }
}

pub(super) fn settings(settings: &Settings, krate: &CratePath) -> Setters {
    let private = krate.private();
    let mut given = Setters { constants: Vec::new(), computed: Vec::new() };
    let aging = &settings.aging;
    for (name, duration) in [
        ("ttl", &settings.ttl),
        ("timeout", &settings.timeout),
        ("load_timeout", &settings.load_timeout),
        ("hold_off", &settings.hold_off),
        ("refresh_after", &aging.refresh_after),
        ("stale_if_error", &aging.stale_if_error),
    ] {
        given.duration(name, duration.as_ref(), krate, |value| value);
    }
    for (name, life) in [("negative_ttl", &settings.negative_ttl), ("local", &settings.local)] {
        match life {
            None => {}
            Some(OrOff::Off) => given.constant(name, Some(quote!(#private::Option::None))),
            Some(OrOff::Value(life)) => {
                given.duration(name, Some(life), krate, |value| quote!(#private::Option::Some(#value)));
            }
        }
    }
    let jitter = settings.jitter.map(|fraction| Literal::f64_suffixed(fraction).into_token_stream());
    given.constant("jitter", jitter);
    let version = settings.version.map(|version| Literal::u32_suffixed(version).into_token_stream());
    given.constant("version", version);
    let compress = settings.compress.as_ref().map(|Compress(format)| {
        let private = krate.private_at(format.span());
        quote_spanned!(format.span()=> #private::compressions::#format)
    });
    given.constant("compress", compress);
    let above = settings.compress_above;
    let above = above.map(|bytes| Literal::usize_suffixed(bytes as usize).into_token_stream());
    given.constant("compress_above", above);
    given.constant("sliding", aging.sliding.then(TokenStream::new));
    given.constant("untracked", settings.untracked.then(TokenStream::new));
    given
}

/// The codec, reported at what it cannot store; one of the user's is reported at its name.
pub(super) fn codec(model: &Model) -> TokenStream {
    let Model { krate, output, .. } = model;
    let private = krate.private();
    let payload = &output.payload;
    let (first, last) = ends(payload.to_token_stream());
    let (import, codec) = match &model.codec {
        Codec::Default => {
            let path = placed_at(first, quote!(#private::codecs::));
            let name = placed_at(last, quote!(MessagePack));
            (None, quote!(#path #name))
        }
        // By another name, which is the place of one error, and the import that of another: the feature may be missing.
        Codec::Named(name) => {
            let private = krate.private_at(name.span());
            // Obscure, for the payload's type is looked up beside it.
            let codec = Ident::new("__Codec", generated_at(first));
            (Some(quote_spanned!(name.span()=> use #private::codecs::#name as #codec;)), quote!(#codec))
        }
        Codec::Own(ty) => (None, ty.to_token_stream()),
    };
    let private = krate.private_at(first);
    let maker = shim::kind(krate, output).map_or_else(|| quote!(#private::), |kind| quote!(#kind.));
    let call = quote_spanned!(generated_at(first)=> #maker codec::<#codec, #payload>());
    import.map_or(call.clone(), |import| quote!({ #import #call }))
}

/// What becomes of a value: whether it is stored, and for how long.
pub(super) fn verdict(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let private = krate.private();
    if model.cache_if.is_none() && model.ttl_from.is_none() {
        return quote!(#private::always);
    }
    let value = local("value");
    // Of a batch, each record is asked about.
    let ty = if model.batch.is_some() { &model.output.payload } else { &model.output.value };
    let store = model.cache_if.as_ref().map_or_else(
        || quote!(true),
        |expr| {
            if !is_function(expr) {
                return about_result(expr);
            }
            let place = ends(expr.to_token_stream()).0;
            let private = krate.private_at(place);
            quote_spanned!(generated_at(place)=> #private::accepts(#value, #expr))
        },
    );
    let ttl = model.ttl_from.as_ref().map_or_else(
        || quote!(#private::Option::None),
        |expr| {
            let place = ends(expr.to_token_stream()).0;
            let private = krate.private_at(place);
            if is_function(expr) {
                return quote_spanned!(generated_at(place)=> #private::life_by(#value, #expr));
            }
            let answer = about_result(expr);
            quote_spanned!(generated_at(place)=> #private::life(#answer))
        },
    );
    quote!(move |#value: &#ty| #private::Verdict { store: #store, ttl: #ttl })
}

/// Whether an expression about the value is a function that takes it. Otherwise it may name `result`.
fn is_function(expr: &Expr) -> bool {
    match crate::arguments::peel(expr) {
        Expr::Closure(_) => true,
        Expr::Path(path) => !path.path.is_ident("result"),
        _ => false,
    }
}

/// An expression in which `result` is the value.
fn about_result(expr: &Expr) -> TokenStream {
    let Some(result) = mention::find(expr.to_token_stream(), "result") else {
        return expr.to_token_stream();
    };
    let bind = mention::bind(&result, &local("value"));
    quote!({ #bind #expr })
}
