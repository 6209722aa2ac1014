//! Names and spans of generated code that the user's code can neither see nor shadow.

use proc_macro2::{Ident, Span};

/// A local variable of generated code; an expression of the user's never meets it, whatever it is called.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// A span of generated code that is reported at `place`. Lints still know that nobody wrote the code by hand.
pub(crate) fn generated_at(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}
