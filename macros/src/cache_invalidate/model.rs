//! Meaning of `#[cache_invalidate(..)]`: what goes, and whether that is known before the body has run.

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::Expr;

use super::args::{Args, When};
use crate::arguments::value;
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::item::Function;
use crate::mention;
use crate::signature::{Bindings, Output, check_wrappable};
use crate::value::{Template, is_call};
use crate::writes::{Scope, Write, resolve};

/// A function that invalidates, ready to be emitted.
pub(crate) struct Model {
    pub(crate) krate: CratePath,
    pub(crate) using: Option<Expr>,
    pub(crate) when: When,
    pub(crate) steps: Vec<Step>,
    pub(crate) output: Output,
}

/// One thing to tell the runtime.
pub(crate) struct Step {
    pub(crate) action: Action,
    /// Where it names `result`, and so has to wait for the body.
    pub(crate) result: Option<Ident>,
}

pub(crate) enum Action {
    Call(Expr),
    Tag(Vec<Write>),
    Pattern(Vec<Write>),
    OnlyIf(Expr),
}

impl Model {
    pub(crate) fn new(args: Args, function: &Function, diagnostics: &mut Diagnostics) -> Self {
        let signature = &function.signature;
        check_wrappable("cache_invalidate", signature, diagnostics);
        let named = !args.calls.is_empty() || args.tags.is_some() || args.patterns.is_some();
        if !named && !args.misspelt.any(&["tags", "patterns"]) {
            diagnostics.error(
                Span::call_site(),
                "nothing to invalidate; name a call, a tag or a pattern, as in `product(db, id)` or `tags = [\"shop:{shop}\"]`",
            );
        }

        let bindings = Bindings::of(signature, diagnostics);
        let when = value(args.when).unwrap_or(When::After);
        let patterns = value(args.patterns).unwrap_or_default();
        if when == When::Around {
            for pattern in &patterns {
                diagnostics
                    .error(pattern.literal.span(), "a pattern cannot be held ahead of the write; use `tags`");
            }
        }

        let mut steps: Vec<Step> =
            args.calls.into_iter().filter(|call| is_call(call, diagnostics)).map(Step::call).collect();
        steps.extend(templates(&value(args.tags).unwrap_or_default(), Action::Tag, &bindings, diagnostics));
        steps.extend(templates(&patterns, Action::Pattern, &bindings, diagnostics));
        if when == When::Around {
            for result in steps.iter().filter_map(|step| step.result.as_ref()) {
                diagnostics.error(
                    result.span(),
                    "what is held must be known before the body runs; use `when = after`",
                );
            }
        }
        steps.extend(value(args.condition).map(Step::only_if));
        check_result_is_free(&steps, &bindings, diagnostics);

        Self {
            krate: value(args.krate).unwrap_or_default(),
            using: value(args.using),
            when,
            steps,
            output: Output::of(signature),
        }
    }
}

impl Step {
    fn call(call: Expr) -> Self {
        let result = mention::find(call.to_token_stream(), "result");
        Self { action: Action::Call(call), result }
    }

    fn only_if(condition: Expr) -> Self {
        let result = mention::find(condition.to_token_stream(), "result");
        Self { action: Action::OnlyIf(condition), result }
    }
}

fn templates(
    templates: &[Template],
    action: fn(Vec<Write>) -> Action,
    bindings: &Bindings,
    diagnostics: &mut Diagnostics,
) -> Vec<Step> {
    let scope = Scope { bindings, result: true };
    let step = |template: &Template| {
        let result = template.placeholders().any(|placeholder| placeholder.root == "result");
        let result = result.then(|| Ident::new("result", template.literal.span()));
        Some(Step { action: action(resolve(template, scope, diagnostics)?), result })
    };
    templates.iter().filter_map(step).collect()
}

/// `result` cannot stand for both the returned value and a parameter.
fn check_result_is_free(steps: &[Step], bindings: &Bindings, diagnostics: &mut Diagnostics) {
    if let Some(parameter) = bindings.get("result")
        && steps.iter().any(|step| step.result.is_some())
    {
        diagnostics
            .error(parameter.span(), "`result` is the returned value in the attribute; rename the parameter");
    }
}
