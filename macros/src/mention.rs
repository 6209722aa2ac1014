//! Finds identifiers in tokens of the user's.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;

/// The first mention of `name` in `tokens`, with the user's own hygiene. A string such as `"{name}"`, which a formatting
/// macro would read it from, counts too.
pub(crate) fn find(tokens: TokenStream, name: &str) -> Option<Ident> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Group(group) => find(group.stream(), name),
        TokenTree::Ident(ident) => (ident.unraw() == name).then_some(ident),
        TokenTree::Literal(literal) => {
            literal.to_string().contains(&format!("{{{name}")).then(|| Ident::new(name, literal.span()))
        }
        TokenTree::Punct(_) => None,
    })
}
