//! What `#[with_lock(..)]` locks, and with whom the lock may be shared: the options that contradict each other.

use proc_macro2::{Ident, Span};

use super::args::Args;
use crate::arguments::{Given, value};
use crate::diagnostics::Diagnostics;
use crate::value::{Count, Template};
use crate::writes::{Scope, Write, resolve};

/// What is locked.
pub(crate) enum Target {
    One(Vec<Write>, Kind),
    /// All of them or none.
    Several(Vec<Vec<Write>>),
}

/// Who else may be inside.
pub(crate) enum Kind {
    /// Nobody.
    Mutex,
    /// Others that share.
    Shared,
    /// Nobody, neither others that share.
    Exclusive,
    /// So many in all.
    Permits(Count),
}

impl Target {
    /// Takes the options that say it out of `args`, and reports those that do not fit together.
    pub(crate) fn take(args: &mut Args, scope: Scope<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        check_presence(args, diagnostics);
        check_kind(args, diagnostics);
        let keys = args.keys.take();
        if let Some(keys) = keys {
            let name = keys.name.clone();
            return several(&name, &value(Some(keys))?, scope, diagnostics).map(Self::Several);
        }
        let key = value(args.key.take()).and_then(|key| resolve(&key, scope, diagnostics));
        let kind = match (args.permits.take(), &args.shared, &args.exclusive) {
            (Some(permits), _, _) => Kind::Permits(permits.value?),
            (None, Some(_), _) => Kind::Shared,
            (None, None, Some(_)) => Kind::Exclusive,
            (None, None, None) => Kind::Mutex,
        };
        Some(Self::One(key?, kind))
    }
}

fn check_presence(args: &Args, diagnostics: &mut Diagnostics) {
    match (&args.key, &args.keys) {
        (Some(_), Some(keys)) => diagnostics.error(
            keys.name.span(),
            "`key` and `keys` both say what is locked; keep one, or put the key into the list",
        ),
        (None, None) if !args.misspelt.any(&["key", "keys"]) => diagnostics
            .error(Span::call_site(), "`key` is missing; say what is locked, as in `key = \"stock:{sku}\"`"),
        _ => {}
    }
}

/// Of the options that say who else may be inside, only one can hold. The later one in this order is reported.
fn check_kind(args: &Args, diagnostics: &mut Diagnostics) {
    let keys = name(args.keys.as_ref());
    let (shared, exclusive, permits) =
        (name(args.shared.as_ref()), name(args.exclusive.as_ref()), name(args.permits.as_ref()));
    if let (Some(_), Some(exclusive)) = (shared, exclusive) {
        diagnostics.error(exclusive.span(), "`shared` and `exclusive` contradict each other; keep one");
    }
    if let (Some(other), Some(permits)) = (shared.or(exclusive), permits) {
        let message = format!(
            "`permits` lets in so many of one kind, and `{other}` tells kinds apart; keep one of the two"
        );
        diagnostics.error(permits.span(), message);
    }
    for kind in [shared, exclusive, permits].into_iter().flatten().filter(|_| keys.is_some()) {
        let message = format!("`keys` locks every key for one holder; remove `{kind}`, or lock one `key`");
        diagnostics.error(kind.span(), message);
    }
}

fn name<T>(given: Option<&Given<T>>) -> Option<&Ident> {
    given.map(|given| &given.name)
}

fn several(
    name: &Ident,
    templates: &[Template],
    scope: Scope<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Vec<Write>>> {
    if templates.is_empty() {
        let message =
            "`keys` names nothing; say what is locked, as in `keys = [\"account:{from}\", \"account:{to}\"]`";
        diagnostics.error(name.span(), message);
    }
    for (index, template) in templates.iter().enumerate() {
        if templates[..index].iter().any(|earlier| earlier.pieces == template.pieces) {
            let text = template.literal.value();
            diagnostics.error(template.literal.span(), format!("`{text}` is there twice; remove one"));
        }
    }
    // Every one is looked at, so that all mistakes are reported.
    let resolved: Vec<_> = templates.iter().map(|template| resolve(template, scope, diagnostics)).collect();
    resolved.into_iter().collect()
}
