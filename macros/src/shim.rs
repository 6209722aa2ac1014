//! Pieces that the shims of all attributes share.

use proc_macro2::{Group, Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::Expr;

use crate::crate_path::CratePath;
use crate::hygiene::{generated_at, local};
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

/// The instance that serves: the global one, or the one that `using` names.
pub(crate) fn home(krate: &CratePath, using: Option<&Expr>) -> TokenStream {
    let private = krate.private();
    using.map_or_else(|| quote!(#private::global()), |expr| quote!(#private::home(&(#expr))))
}

/// A statement that does not compile when a return type that is no `Result` by its name is an alias of one. Its errors
/// would be stored like values.
pub(crate) fn alias_check(krate: &CratePath, output: &Output) -> TokenStream {
    if !output.shape.is_infallible() {
        return TokenStream::new();
    }
    let shape = quote!(#krate::__private::shape);
    let ty = &output.ty;
    let check = quote_spanned! {generated_at(output.span)=>
        #shape::require_plain({
            use #shape::{ViaOther as _, ViaResult as _};
            (&#shape::Probe::<#ty>::new()).kind()
        })
    };
    quote!(#check;)
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
