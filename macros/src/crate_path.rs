//! Where generated code finds the runtime: `::keylatch`, or what `crate = ..` says.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Expr, Path, parse_quote};

use crate::arguments::{FromValue, Value};
use crate::diagnostics::Diagnostics;
use crate::hygiene::placed_at;

/// An absolute path to the runtime crate, so that no module of the user's can stand in for it.
pub(crate) struct CratePath(Path);

impl CratePath {
    /// The module that holds everything generated code may name.
    pub(crate) fn private(&self) -> TokenStream {
        quote!(#self::__private)
    }

    /// The same for code whose errors are reported at `place`.
    pub(crate) fn private_at(&self, place: Span) -> TokenStream {
        placed_at(place, self.private())
    }
}

impl Default for CratePath {
    fn default() -> Self {
        Self(parse_quote!(::keylatch))
    }
}

impl ToTokens for CratePath {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

impl FromValue for CratePath {
    fn from_value(_: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        match value.expr() {
            Some(Expr::Path(path)) if path.qself.is_none() && is_absolute(&path.path) => {
                Some(Self(path.path.clone()))
            }
            _ => {
                diagnostics.error_on(
                    value,
                    "`crate` takes an absolute path; write `crate = ::name` or `crate = crate::name`",
                );
                None
            }
        }
    }
}

fn is_absolute(path: &Path) -> bool {
    let plain = path.segments.iter().all(|segment| segment.arguments.is_none());
    let first = &path.segments[0].ident;
    plain && (path.leading_colon.is_some() || first == "crate" || first == "$crate")
}
