//! Meaning of `#[with_lock(..)]`: what must be given, and what must fit together.

use proc_macro2::{Ident, Span};
use syn::Expr;
use syn::ext::IdentExt;

use super::args::{Args, Extend, OnLost};
use super::target::Target;
use crate::arguments::{Given, value};
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::item::Function;
use crate::signature::{Bindings, Output, check_wrappable};
use crate::value::{Duration, positive};
use crate::writes::Scope;

/// A function whose body runs under a lock, ready to be emitted.
pub(crate) struct Model {
    pub(crate) krate: CratePath,
    pub(crate) using: Option<Expr>,
    pub(crate) target: Target,
    pub(crate) within: Option<Expr>,
    pub(crate) ttl: Duration,
    pub(crate) wait: Option<Duration>,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) fence: bool,
    pub(crate) extend: Extend,
    pub(crate) on_lost: OnLost,
    pub(crate) lease: Option<Ident>,
    pub(crate) output: Output,
}

impl Model {
    pub(crate) fn new(mut args: Args, function: &Function, diagnostics: &mut Diagnostics) -> Option<Self> {
        let signature = &function.signature;
        check_wrappable("with_lock", signature, diagnostics);
        let output = Output::of(signature);
        if output.is_nothing() {
            let message = "a lock can fail; return `Result<_, E>` where `E: From<keylatch::LockError>`";
            diagnostics.error(output.span, message);
        }
        let bindings = Bindings::of(signature, diagnostics);
        let scope = Scope { bindings: &bindings, result: false };
        let target = Target::take(&mut args, scope, diagnostics);
        if args.ttl.is_none() && !args.misspelt.any(&["ttl"]) {
            diagnostics.error(
                Span::call_site(),
                "`ttl` is missing; say when a lost lock expires, as in `ttl = \"30s\"`",
            );
        }
        check_lease(args.lease.as_ref(), &bindings, diagnostics);
        check_max_hold(args.max_hold.as_ref(), args.ttl.as_ref(), diagnostics);
        let ttl =
            positive(args.ttl, "would lock nothing; give it a length, as in `ttl = \"30s\"`", diagnostics);
        let max_hold = positive(args.max_hold, "would hold nothing; leave it out for no limit", diagnostics);

        Some(Self {
            krate: value(args.krate).unwrap_or_default(),
            using: value(args.using),
            target: target?,
            within: value(args.within),
            ttl: ttl?,
            wait: value(args.wait),
            max_hold,
            fence: args.fence.is_some(),
            extend: value(args.extend).unwrap_or(Extend::Auto),
            on_lost: value(args.on_lost).unwrap_or(OnLost::Cancel),
            lease: value(args.lease),
            output,
        })
    }
}

fn check_lease(lease: Option<&Given<Ident>>, bindings: &Bindings, diagnostics: &mut Diagnostics) {
    if let Some(Given { value: Some(lease), .. }) = lease
        && bindings.get(&lease.unraw().to_string()).is_some()
    {
        diagnostics.error(lease.span(), format!("`{lease}` is a parameter; give the lease another name"));
    }
}

fn check_max_hold(
    max_hold: Option<&Given<Duration>>,
    ttl: Option<&Given<Duration>>,
    diagnostics: &mut Diagnostics,
) {
    if let Some(Given { value: Some(Duration::Micros(max_hold @ 1.., literal)), .. }) = max_hold
        && let Some(Given { value: Some(Duration::Micros(ttl, _)), .. }) = ttl
        && max_hold < ttl
    {
        diagnostics.error(
            literal.span(),
            "`max_hold` is less than `ttl`, which is held in any case; give at least `ttl`",
        );
    }
}
