//! How entries age: which of `refresh_after`, `stale_if_error` and `sliding` a function can have.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{
    FnArg, Lifetime, ParenthesizedGenericArguments, Pat, Receiver, ReceiverKind, Signature, TraitBound, Type,
    TypeFnPtr, TypeReference,
};

use super::args::Args;
use crate::arguments::Given;
use crate::diagnostics::Diagnostics;
use crate::signature::Output;
use crate::value::{Duration, Switch, positive};

/// The options of entries that age in their own way.
pub(crate) struct Aging {
    pub(crate) refresh_after: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) sliding: bool,
}

impl Aging {
    pub(super) fn new(
        args: &mut Args,
        signature: &Signature,
        output: &Output,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        if let Some(given) = &args.refresh_after {
            check_before_the_end(given, args.ttl.as_ref(), diagnostics);
            check_owned(signature, diagnostics);
        }
        let sliding = args.sliding.as_ref().is_some_and(|given| given.value == Some(Switch::On));
        if let Some(given) = &args.stale_if_error {
            let name = &given.name;
            if sliding {
                let message = "an entry with `sliding = on` ends only when nobody asks for it, so nobody needs it \
                               after its end; remove one of the two";
                diagnostics.error(name.span(), message);
            }
            let can_fail = !output.shape.is_infallible() || args.load_timeout.is_some();
            if !can_fail && !args.misspelt.any(&["load_timeout"]) {
                let message = "`stale_if_error` answers for a body that fails, and this one cannot: return a \
                               `Result`, or set `load_timeout`";
                diagnostics.error(name.span(), message);
            }
        }
        Self {
            refresh_after: positive(
                args.refresh_after.take(),
                "would run the body behind every call; give it a length",
                diagnostics,
            ),
            stale_if_error: positive(
                args.stale_if_error.take(),
                "would serve nothing; give it a length, or remove it",
                diagnostics,
            ),
            sliding,
        }
    }

    /// Whether the runtime has anything to do for it.
    pub(crate) fn is_any(&self) -> bool {
        self.refresh_after.is_some() || self.stale_if_error.is_some() || self.sliding
    }
}

/// What is due only when it has ended is never renewed in time.
fn check_before_the_end(
    refresh_after: &Given<Duration>,
    ttl: Option<&Given<Duration>>,
    diagnostics: &mut Diagnostics,
) {
    let Some(Duration::Micros(after, literal)) = &refresh_after.value else { return };
    let Some(Duration::Micros(ttl, _)) = ttl.and_then(|ttl| ttl.value.as_ref()) else { return };
    if after >= ttl && *ttl > 0 {
        let message =
            "`refresh_after` must be shorter than `ttl`: an entry is renewed while it still answers";
        diagnostics.error(literal.span(), message);
    }
}

/// Reports every parameter that borrows: the body outlives the call.
fn check_owned(signature: &Signature, diagnostics: &mut Diagnostics) {
    for input in &signature.inputs {
        let (borrow, remedy) = match input {
            FnArg::Receiver(receiver) => {
                (borrow_of_receiver(receiver), "take `self` by value, as in `self: Arc<Self>`".to_owned())
            }
            FnArg::Typed(typed) => (borrow_of(&typed.ty), remedy(&typed.pat, &typed.ty)),
        };
        if let Some(place) = borrow {
            let why = "`refresh_after` runs the body behind the call, where nothing borrowed lives";
            diagnostics.error(place, format!("{why}: {remedy}"));
        }
    }
}

fn remedy(pattern: &Pat, ty: &Type) -> String {
    let name = match pattern {
        Pat::Ident(pattern) => format!("`{}`", pattern.ident),
        _ => "the parameter".to_owned(),
    };
    match (ty, pattern) {
        (Type::Reference(reference), Pat::Ident(pattern)) => {
            format!("take {name} by value, as in `{}: {}`", pattern.ident, owned(&reference.elem))
        }
        (Type::Reference(_), _) => format!("take {name} by value"),
        // Somewhere within, as in `Vec<&str>` or `Cow<'_, str>`.
        _ => format!("own all that {name} holds, or borrow it for `'static`"),
    }
}

/// What to take instead of a reference to such a type.
fn owned(ty: &Type) -> String {
    match ty {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Arc") => text(ty),
        Type::Slice(slice) => format!("Vec<{}>", text(&slice.elem)),
        // Such as a pool: most are shared by an `Arc`, if they are not cheap to clone.
        other => format!("Arc<{}>", text(other)),
    }
}

fn text(ty: &Type) -> String {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last().map_or_else(
            || "_".to_owned(),
            |last| match &last.arguments {
                syn::PathArguments::None => last.ident.to_string(),
                _ => format!("{}<..>", last.ident),
            },
        ),
        _ => "_".to_owned(),
    }
}

fn borrow_of_receiver(receiver: &Receiver) -> Option<Span> {
    match &receiver.kind {
        ReceiverKind::Reference(_, Some(lifetime), _) if lifetime.ident == "static" => None,
        ReceiverKind::Reference(and, ..) => Some(and.span),
        ReceiverKind::Typed(_, ty) => borrow_of(ty),
        _ => None,
    }
}

/// The first borrow in the type of a parameter, unless it is `'static`. What a type hides is left to rustc.
fn borrow_of(ty: &Type) -> Option<Span> {
    let mut borrow = Borrow(None);
    borrow.visit_type(ty);
    borrow.0
}

struct Borrow(Option<Span>);

impl<'ast> Visit<'ast> for Borrow {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if reference.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident != "static") {
            self.0.get_or_insert(reference.and_token.span);
        }
        visit::visit_type_reference(self, reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.0.get_or_insert(lifetime.span());
        }
    }

    // What a function is given when it is called is not held by the parameter: neither in `fn(&str)` ..
    fn visit_type_fn_ptr(&mut self, _function: &'ast TypeFnPtr) {}

    // .. nor in `impl Fn(&str)` ..
    fn visit_parenthesized_generic_arguments(&mut self, _arguments: &'ast ParenthesizedGenericArguments) {}

    // .. nor in what holds for every lifetime.
    fn visit_trait_bound(&mut self, bound: &'ast TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
}
