//! `#[derive(KeyPart)]`: its one option, then the implementation.

mod emit;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use syn::visit::Visit;
use syn::{Attribute, Data, DeriveInput};

use crate::arguments::{Arguments, Grammar, value};
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let input = match syn::parse2::<DeriveInput>(item) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut diagnostics = Diagnostics::default();
    let krate = crate_path(&input, &mut diagnostics).unwrap_or_default();
    match &input.data {
        Data::Union(data) => diagnostics.error(
            data.union_token.span,
            "a union does not say which field it holds; implement `KeyPart` by hand",
        ),
        Data::Enum(data) if data.variants.is_empty() => {
            diagnostics
                .error(input.ident.span(), "an enum without variants has no values; remove the derive");
        }
        Data::Enum(_) | Data::Struct(_) => {}
    }
    check_places(&input.data, &mut diagnostics);
    if diagnostics.is_empty() { emit::emit(&input, &krate) } else { diagnostics.finish().errors }
}

/// Reports `#[key_part(..)]` on fields and variants, where nothing would read it.
fn check_places(data: &Data, diagnostics: &mut Diagnostics) {
    struct Misplaced<'a>(&'a mut Diagnostics);
    impl<'ast> Visit<'ast> for Misplaced<'_> {
        fn visit_attribute(&mut self, attribute: &'ast Attribute) {
            if attribute.path().is_ident("key_part") {
                let message = "`#[key_part(..)]` goes on the type; every field is part of the key, so leave it out here";
                self.0.error_on(attribute.path(), message);
            }
        }
    }
    Misplaced(diagnostics).visit_data(data);
}

/// Reads `#[key_part(crate = ..)]`.
fn crate_path(input: &DeriveInput, diagnostics: &mut Diagnostics) -> Option<CratePath> {
    let ours = input.attrs.iter().filter(|attribute| attribute.path().is_ident("key_part"));
    let tokens: Vec<TokenStream> = ours
        .filter_map(|attribute| diagnostics.ok(attribute.meta.require_list()).map(|list| list.tokens.clone()))
        .collect();
    let mut arguments = Arguments::parse(quote::quote!(#(#tokens),*), Grammar::Options, diagnostics);
    let krate = arguments.take("crate", diagnostics);
    arguments.finish(diagnostics);
    value(krate)
}
