//! `#[with_lock]`: arguments, then a model, then the shim.

mod args;
mod emit;
mod model;
mod target;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::expansion;
use args::Args;
use model::Model;

pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    expansion::expand(
        "with_lock",
        item,
        |function, diagnostics| {
            let args = Args::parse(arguments, diagnostics);
            Model::new(args, function, diagnostics)
        },
        emit::emit,
        |_, _| None,
    )
}
