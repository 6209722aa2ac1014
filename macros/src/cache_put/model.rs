//! Meaning of `#[cache_put(..)]`: which entries the result is stored as, and which of them are known before the body runs.

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::Expr;

use super::args::Args;
use crate::arguments::value;
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::item::Function;
use crate::mention;
use crate::signature::{Bindings, Output, check_wrappable};
use crate::value::is_call;

/// A writer whose result is put, ready to be emitted.
pub(crate) struct Model {
    pub(crate) krate: CratePath,
    pub(crate) calls: Vec<Asked>,
    pub(crate) condition: Option<Asked>,
    pub(crate) output: Output,
}

/// An expression of the user's.
pub(crate) struct Asked {
    pub(crate) expr: Expr,
    /// Where it names `result`, and so has to wait for the body.
    pub(crate) result: Option<Ident>,
}

impl Model {
    pub(crate) fn new(args: Args, function: &Function, diagnostics: &mut Diagnostics) -> Self {
        let signature = &function.signature;
        check_wrappable("cache_put", signature, diagnostics);
        if args.calls.is_empty() {
            diagnostics.error(
                Span::call_site(),
                "nothing to put; name the call whose entry is to hold the result, as in `product(db, result.id)`",
            );
        }
        if let Some(using) = &args.using {
            diagnostics.error(
                using.name.span(),
                "`using` has nothing to choose here: a call is put into the `Keylatch` that its function uses; remove it",
            );
        }
        let output = Output::of(signature);
        if output.is_nothing() {
            diagnostics
                .error(output.span, "there is nothing to put; return the value that the entry is to hold");
        }
        let calls: Vec<Asked> =
            args.calls.into_iter().filter(|call| is_call(call, diagnostics)).map(Asked::new).collect();
        let condition = value(args.condition).map(Asked::new);

        // `result` cannot stand for both the returned value and a parameter.
        let bindings = Bindings::of(signature, diagnostics);
        if let Some(parameter) = bindings.get("result")
            && calls.iter().chain(&condition).any(|asked| asked.result.is_some())
        {
            diagnostics.error(
                parameter.span(),
                "`result` is the returned value in the attribute; rename the parameter",
            );
        }
        Self { krate: value(args.krate).unwrap_or_default(), calls, condition, output }
    }
}

impl Asked {
    fn new(expr: Expr) -> Self {
        let result = mention::find(expr.to_token_stream(), "result");
        Self { expr, result }
    }
}
