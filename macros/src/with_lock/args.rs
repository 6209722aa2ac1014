//! Syntax of `#[with_lock(..)]`, nothing else.

use proc_macro2::{Ident, TokenStream};
use syn::Expr;

use crate::arguments::{Arguments, Given, Grammar, Misspelt};
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::value::{Choice, Count, Duration, Flag, Template};

/// The options, each as it was given.
pub(crate) struct Args {
    pub(crate) key: Option<Given<Template>>,
    pub(crate) keys: Option<Given<Vec<Template>>>,
    pub(crate) shared: Option<Given<Flag>>,
    pub(crate) exclusive: Option<Given<Flag>>,
    pub(crate) permits: Option<Given<Count>>,
    pub(crate) within: Option<Given<Expr>>,
    pub(crate) ttl: Option<Given<Duration>>,
    pub(crate) wait: Option<Given<Duration>>,
    pub(crate) fence: Option<Given<Flag>>,
    pub(crate) extend: Option<Given<Extend>>,
    pub(crate) max_hold: Option<Given<Duration>>,
    pub(crate) on_lost: Option<Given<OnLost>>,
    pub(crate) lease: Option<Given<Ident>>,
    pub(crate) using: Option<Given<Expr>>,
    pub(crate) krate: Option<Given<CratePath>>,
    pub(crate) misspelt: Misspelt,
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut arguments = Arguments::parse(tokens, Grammar::Options, diagnostics);
        Self {
            key: arguments.take("key", diagnostics),
            keys: arguments.take("keys", diagnostics),
            ttl: arguments.take("ttl", diagnostics),
            wait: arguments.take("wait", diagnostics),
            shared: arguments.take("shared", diagnostics),
            exclusive: arguments.take("exclusive", diagnostics),
            permits: arguments.take("permits", diagnostics),
            within: arguments.take("within", diagnostics),
            fence: arguments.take("fence", diagnostics),
            extend: arguments.take("extend", diagnostics),
            max_hold: arguments.take("max_hold", diagnostics),
            on_lost: arguments.take("on_lost", diagnostics),
            lease: arguments.take("lease", diagnostics),
            using: arguments.take("using", diagnostics),
            krate: arguments.take("crate", diagnostics),
            misspelt: arguments.finish(diagnostics),
        }
    }
}

/// Whether a lock is kept alive while the body runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extend {
    Auto,
    Off,
}

impl Choice for Extend {
    const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("off", Self::Off)];
}

/// What becomes of the body when the lock is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnLost {
    Cancel,
    Continue,
}

impl Choice for OnLost {
    const WORDS: &'static [(&'static str, Self)] = &[("cancel", Self::Cancel), ("continue", Self::Continue)];
}
