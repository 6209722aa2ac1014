//! Finds a variable in an expression of the user's.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::quote;
use syn::ext::IdentExt;

/// The first mention of `name` in `tokens`, with the user's own hygiene. A string such as `"{name}"`, which a formatting
/// macro would read it from, counts too.
pub(crate) fn find(tokens: TokenStream, name: &str) -> Option<Ident> {
    let mut dots = 0;
    tokens.into_iter().find_map(|token| {
        // Behind one dot it is a field or a method; behind two, the end of a range.
        let member = dots == 1;
        dots = if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.') { dots + 1 } else { 0 };
        match token {
            TokenTree::Group(group) => find(group.stream(), name),
            TokenTree::Ident(ident) => (!member && ident.unraw() == name).then_some(ident),
            TokenTree::Literal(literal) => {
                literal.to_string().contains(&format!("{{{name}")).then(|| Ident::new(name, literal.span()))
            }
            TokenTree::Punct(_) => None,
        }
    })
}

/// A statement that gives what `ident` mentions the value of `value`. A mention in a string may turn out to be none.
pub(crate) fn bind(ident: &Ident, value: &Ident) -> TokenStream {
    quote!(#[allow(unused_variables)] let #ident = #value;)
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn only_variables_are_mentions() {
        let mentions = |text: &str| find(text.parse().unwrap(), "result").is_some();
        assert!(mentions("product(db, result.id)"));
        assert!(mentions("0..result"));
        assert!(mentions("format!(\"{result:?}\")"));
        assert!(mentions("f(&[*result])"));
        assert!(!mentions("order.result"));
        assert!(!mentions("results(db)"));
        assert!(!mentions("f(\"result\")"));
    }
}
