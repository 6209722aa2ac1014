//! Syntax of `#[cache_invalidate(..)]`, nothing else.

use proc_macro2::TokenStream;
use syn::Expr;

use crate::arguments::{Arguments, Given, Grammar, Misspelt};
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::value::{Choice, Template};

/// The calls and the options, each as it was given.
pub(crate) struct Args {
    pub(crate) calls: Vec<Expr>,
    pub(crate) tags: Option<Given<Vec<Template>>>,
    pub(crate) patterns: Option<Given<Vec<Template>>>,
    pub(crate) when: Option<Given<When>>,
    pub(crate) condition: Option<Given<Expr>>,
    pub(crate) using: Option<Given<Expr>>,
    pub(crate) krate: Option<Given<CratePath>>,
    pub(crate) misspelt: Misspelt,
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut arguments = Arguments::parse(tokens, Grammar::OptionsAndCalls, diagnostics);
        Self {
            calls: std::mem::take(&mut arguments.positional),
            tags: arguments.take("tags", diagnostics),
            patterns: arguments.take("patterns", diagnostics),
            when: arguments.take("when", diagnostics),
            condition: arguments.take("if", diagnostics),
            using: arguments.take("using", diagnostics),
            krate: arguments.take("crate", diagnostics),
            misspelt: arguments.finish(diagnostics),
        }
    }
}

/// When entries go, as seen from the body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    After,
    Around,
}

impl Choice for When {
    const WORDS: &'static [(&'static str, Self)] = &[("after", Self::After), ("around", Self::Around)];
}
