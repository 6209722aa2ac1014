//! Names and spans of generated code that the user's code can neither see nor shadow.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};

/// A local variable of generated code; an expression of the user's never meets it, whatever it is called.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// A span of generated code that is reported at `place`. Lints still know that nobody wrote the code by hand.
pub(crate) fn generated_at(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}

/// The same tokens, not those within groups, which are reported at `place`. What their names mean does not change.
pub(crate) fn placed_at(place: Span, tokens: TokenStream) -> TokenStream {
    let place = |mut token: TokenTree| {
        token.set_span(token.span().located_at(place));
        token
    };
    tokens.into_iter().map(place).collect()
}

/// The spans of the first and the last token. An error about tokens placed at the two, in this order, covers what lies
/// between.
pub(crate) fn ends(tokens: TokenStream) -> (Span, Span) {
    let mut tokens = tokens.into_iter();
    let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
    (first, tokens.last().map_or(first, |token| token.span()))
}
