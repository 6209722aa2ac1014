//! Syntax of `#[cache_put(..)]`, nothing else.

use proc_macro2::TokenStream;
use syn::Expr;

use crate::arguments::{Arguments, Given, Grammar};
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;

/// The calls and the options, each as it was given.
pub(crate) struct Args {
    pub(crate) calls: Vec<Expr>,
    pub(crate) condition: Option<Given<Expr>>,
    /// No option here, but of the attributes beside this one.
    pub(crate) using: Option<Given<Expr>>,
    pub(crate) krate: Option<Given<CratePath>>,
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut arguments = Arguments::parse(tokens, Grammar::OptionsAndCalls, diagnostics);
        let args = Self {
            calls: std::mem::take(&mut arguments.positional),
            condition: arguments.take("if", diagnostics),
            using: arguments.take("using", diagnostics),
            krate: arguments.take("crate", diagnostics),
        };
        arguments.finish(diagnostics);
        args
    }
}
