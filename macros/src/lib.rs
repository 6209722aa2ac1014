//! Attribute macros of keylatch; an implementation detail, documented where `keylatch` re-exports them.

mod arguments;
mod cache_invalidate;
mod cache_put;
mod cached;
mod crate_path;
mod diagnostics;
mod expansion;
mod hygiene;
mod item;
mod key_part;
mod mention;
mod shim;
mod signature;
#[cfg(test)]
mod snapshot;
mod value;
mod with_lock;
mod writes;

use proc_macro::TokenStream;

/// Caches what an `async fn` returns.
#[proc_macro_attribute]
pub fn cached(arguments: TokenStream, item: TokenStream) -> TokenStream {
    cached::expand(arguments.into(), &item.into()).into()
}

/// Invalidates cached calls, tags and patterns once an `async fn` has run.
#[proc_macro_attribute]
pub fn cache_invalidate(arguments: TokenStream, item: TokenStream) -> TokenStream {
    cache_invalidate::expand(arguments.into(), &item.into()).into()
}

/// Puts what an `async fn` returns into the entries of cached calls.
#[proc_macro_attribute]
pub fn cache_put(arguments: TokenStream, item: TokenStream) -> TokenStream {
    cache_put::expand(arguments.into(), &item.into()).into()
}

/// Runs the body of an `async fn` under a distributed lock.
#[proc_macro_attribute]
pub fn with_lock(arguments: TokenStream, item: TokenStream) -> TokenStream {
    with_lock::expand(arguments.into(), &item.into()).into()
}

/// Lets a type of your own be part of a key.
#[proc_macro_derive(KeyPart, attributes(key_part))]
pub fn derive_key_part(item: TokenStream) -> TokenStream {
    key_part::expand(item.into()).into()
}
