//! Help for tests: expands text in this process and formats the outcome.

use proc_macro2::{TokenStream, TokenTree};

/// An attribute macro as a function.
pub(crate) type Expand = fn(TokenStream, &TokenStream) -> TokenStream;

/// The formatted expansion of `#[..(arguments)] item`. A method stands in an `impl`, so that it can be read back.
pub(crate) fn expansion(expand: Expand, arguments: &str, item: &str) -> String {
    let expanded = expand(arguments.parse().unwrap(), &item.parse().unwrap());
    let method = item.contains("self");
    pretty(if method { quote::quote!(impl Service { #expanded }) } else { expanded })
}

pub(crate) fn pretty(tokens: TokenStream) -> String {
    let file: syn::File = syn::parse2(tokens).unwrap();
    prettyplease::unparse(&file)
}

/// The messages of all `compile_error!`s of an expansion, in order.
pub(crate) fn errors_of(expand: Expand, arguments: &str, item: &str) -> Vec<String> {
    errors(expand(arguments.parse().unwrap(), &item.parse().unwrap()))
}

/// The messages of all `compile_error!`s, in order. Tokens are read, for a method cannot be parsed alone.
pub(crate) fn errors(tokens: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let message = |window: &[TokenTree]| match window {
        [TokenTree::Ident(name), TokenTree::Punct(_), TokenTree::Group(message)]
            if name == "compile_error" =>
        {
            syn::parse2::<syn::LitStr>(message.stream()).ok().map(|message| message.value())
        }
        _ => None,
    };
    tokens.windows(3).filter_map(message).collect()
}
