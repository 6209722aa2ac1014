//! `#[cache_put]`: arguments, then a model, then the shim.

mod args;
mod emit;
mod model;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::expansion;
use args::Args;
use model::Model;

pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    expansion::expand(
        "cache_put",
        item,
        |function, diagnostics| {
            let args = Args::parse(arguments, diagnostics);
            Some(Model::new(args, function, diagnostics))
        },
        emit::emit,
        |_, _| None,
    )
}
