//! `#[cached]`: arguments, then a model, then the shim.

mod aging;
mod args;
mod batch;
mod emit;
mod key;
mod model;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::expansion;
use crate::item::Function;
use crate::signature::Output;
use args::Args;
use model::Model;

pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let again = arguments.clone();
    expansion::expand(
        "cached",
        item,
        |function, diagnostics| {
            let args = Args::parse(arguments, diagnostics);
            Model::new(args, function, diagnostics)
        },
        emit::emit,
        |function, probes| stand_in(again, function, probes),
    )
}

/// A handle for the callers of a function whose attribute is wrong, if nothing is wrong with its signature.
fn stand_in(arguments: TokenStream, function: &Function, probes: &TokenStream) -> Option<TokenStream> {
    let mut fine = Diagnostics::default();
    // Its mistakes were reported; what counts is where the runtime is.
    let args = Args::parse(arguments, &mut Diagnostics::default());
    let krate = args.krate.map_or(Some(CratePath::default()), |given| given.value)?;
    let output = Output::of(&function.signature);
    model::check_function(function, &output, &mut fine);
    fine.is_empty().then(|| emit::stand_in(function, &krate, &output, probes))
}
