//! Collects the mistakes of one expansion, so that all of them are reported at once.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Everything found wrong so far.
#[derive(Default)]
pub(crate) struct Diagnostics {
    errors: Vec<syn::Error>,
    probes: TokenStream,
}

impl Diagnostics {
    /// Reports a mistake at one token.
    pub(crate) fn error(&mut self, span: Span, message: impl Display) {
        self.errors.push(syn::Error::new(span, message));
    }

    /// Reports a mistake that covers several tokens, from the first to the last.
    pub(crate) fn error_on(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.errors.push(syn::Error::new_spanned(tokens, message));
    }

    /// Takes the value out of a result; its error is reported.
    pub(crate) fn ok<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    /// Leaves a mistake to rustc, which can point into a string literal where a macro cannot: `item` does not compile.
    pub(crate) fn probe(&mut self, item: TokenStream) {
        self.probes.extend(item);
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.probes.is_empty()
    }

    /// One `compile_error!` for each mistake, and the items that rustc is to report on.
    pub(crate) fn finish(self) -> Report {
        Report { errors: self.errors.iter().map(syn::Error::to_compile_error).collect(), probes: self.probes }
    }
}

/// What a failed expansion adds to the user's item.
pub(crate) struct Report {
    /// Legal wherever an item is.
    pub(crate) errors: TokenStream,
    /// Legal wherever an item is, except among the associated items of an `impl`.
    pub(crate) probes: TokenStream,
}

/// The known name that a misspelt one most likely stands for.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (likeness(name, candidate), candidate))
        .filter(|&(likeness, _)| likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

/// From 0 to 1. Below 0.8 of Jaro-Winkler a guess is more often wrong than right, except that it underrates short names,
/// where a single slip (`tll` for `ttl`) is a large part.
fn likeness(name: &str, candidate: &str) -> f64 {
    let slip = name.len().max(candidate.len()) > 2 && strsim::osa_distance(name, candidate) == 1;
    strsim::jaro_winkler(name, candidate).max(if slip { 0.9 } else { 0.0 })
}

/// Names in backticks, separated by commas.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
