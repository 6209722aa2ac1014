//! Pieces that the shims of all attributes share.

use proc_macro2::{Group, Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Expr;

use crate::crate_path::CratePath;
use crate::hygiene::{ends, generated_at, local};
use crate::mention;
use crate::signature::Output;

/// A block whose value tells the runtime which function this is: one static for each, whatever its type parameters.
pub(crate) fn function(krate: &CratePath, name: &Ident) -> TokenStream {
    let private = krate.private();
    let name = syn::ext::IdentExt::unraw(name).to_string();
    quote! {
        {
            static FUNCTION: #private::Function = #private::Function::new(
                #private::concat!(#private::module_path!(), "::", #name)
            );
            &FUNCTION
        }
    }
}

/// The same for a function whose entries belong to a template.
pub(crate) fn function_of_template(krate: &CratePath, name: &Ident, template: &str) -> TokenStream {
    let private = krate.private();
    let name = syn::ext::IdentExt::unraw(name).to_string();
    quote! {
        {
            static FUNCTION: #private::Function = #private::Function::of_template(
                #private::concat!(#private::module_path!(), "::", #name),
                #template,
            );
            &FUNCTION
        }
    }
}

/// The instance that serves: the global one, or the one that `using` names.
pub(crate) fn home(krate: &CratePath, using: Option<&Expr>) -> TokenStream {
    let private = krate.private();
    let Some(expr) = using else { return quote!(#private::global()) };
    // Without a name of ours in it, an error about its type is reported at the expression.
    let place = ends(expr.to_token_stream()).0;
    let private = krate.private_at(place);
    quote_spanned!(place=> #private::home(&(#expr)))
}

/// A reference to the value of an expression, so that errors about its type are reported at the expression.
pub(crate) fn reference(expr: &Expr) -> TokenStream {
    let place = ends(expr.to_token_stream()).0;
    quote_spanned!(place=> &#expr)
}

/// What the return type is in truth, if it is no `Result` by its name: one under another name is told apart, for its
/// errors would pass for values. Every method of the answer has the type as its last argument, and does not compile then.
pub(crate) fn kind(krate: &CratePath, output: &Output) -> Option<TokenStream> {
    if !output.shape.is_infallible() {
        return None;
    }
    let place = output.span;
    let private = krate.private_at(place);
    let ty = &output.ty;
    Some(quote_spanned! {generated_at(place)=>
        {
            use #private::shape::{ViaOther as _, ViaResult as _};
            (&#private::shape::Probe::<#ty>::new()).kind()
        }
    })
}

/// How values are kept in the memory of the process, if their type allows it: it is asked where the function is. A type that
/// is generic over the function's parameters is not asked: whether it lives for ever is no question that has an answer there.
pub(crate) fn keeper(krate: &CratePath, signature: &syn::Signature, output: &Output) -> TokenStream {
    let place = output.span;
    let private = krate.private_at(place);
    let value = &output.value;
    let mut parameters = signature.generics.type_params();
    if parameters
        .any(|parameter| mention::find(value.to_token_stream(), &parameter.ident.to_string()).is_some())
    {
        return quote!(#private::Option::None);
    }
    quote_spanned! {generated_at(place)=>
        {
            use #private::shape::{ViaClone as _, ViaNothing as _};
            (&#private::shape::Probe::<#value>::new()).keeper()
        }
    }
}

/// The block of a closure that runs the user's body. Bound to a variable of the return type, a wrong value is reported
/// at its own expression; as the value of an async closure it would be reported at the whole body.
pub(crate) fn body(output: &Output, body: &Group) -> TokenStream {
    if output.is_nothing() {
        return quote!(#body);
    }
    let value = local("output");
    let ty = &output.ty;
    // Behind a body such as `todo!()` the return is never reached, which is no news to the user.
    quote! {
        {
            let #value: #ty = #body;
            #[allow(unreachable_code, clippy::needless_return)]
            return #value;
        }
    }
}
