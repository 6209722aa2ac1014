//! What a key, a tag or a pattern is written from, once every name in its template is known to exist.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{LitStr, Member};

use crate::crate_path::CratePath;
use crate::diagnostics::{Diagnostics, did_you_mean};
use crate::hygiene::{generated_at, local};
use crate::signature::Bindings;
use crate::value::{Piece, Placeholder, Template};

/// One step of writing a key.
pub(crate) enum Write {
    Literal(String),
    /// A binding, or a field of it; errors about its type are reported at the span of the first identifier.
    Part(Ident, Vec<Member>),
    /// A variable that is a reference to an element of a binding.
    Element(Ident),
    /// The name of a type parameter.
    TypeName(Ident),
    Wildcard,
}

/// The names that a template can use.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) bindings: &'a Bindings,
    /// Whether `result` stands for what the body returned.
    pub(crate) result: bool,
}

/// Looks every placeholder up; reports the ones that name nothing.
pub(crate) fn resolve(
    template: &Template,
    scope: Scope<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Write>> {
    let unknown: Vec<&Placeholder> =
        template.placeholders().filter(|it| scope.root(it, Span::call_site()).is_none()).collect();
    if !unknown.is_empty() {
        report_unknown(template, &unknown, scope, diagnostics);
        return None;
    }
    let write = |piece: &Piece| match piece {
        Piece::Literal(text) => Some(Write::Literal(text.clone())),
        Piece::Wildcard => Some(Write::Wildcard),
        Piece::Placeholder(placeholder) => {
            let span = template.literal.span();
            let root = scope.root(placeholder, span)?;
            if placeholder.each {
                return Some(Write::Element(root));
            }
            Some(Write::Part(
                root,
                placeholder.fields.iter().map(|field| at(field, generated_at(span))).collect(),
            ))
        }
    };
    template.pieces.iter().map(write).collect()
}

impl Scope<'_> {
    /// The variable that a placeholder begins with. A whole parameter is reported at its declaration, whose type is
    /// what can be wrong; a field is reported at the template.
    fn root(self, placeholder: &Placeholder, template: Span) -> Option<Ident> {
        if self.result && placeholder.root == "result" {
            return Some(Ident::new("result", template));
        }
        if placeholder.each {
            return self.bindings.element(&placeholder.root).cloned();
        }
        let mut root = self.bindings.get(&placeholder.root)?.clone();
        if !placeholder.fields.is_empty() {
            root.set_span(root.span().located_at(template));
        }
        Some(root)
    }

    fn names(self) -> Vec<String> {
        let mut names = self.bindings.names();
        if self.result {
            names.push("result".to_owned());
        }
        names
    }
}

fn at(field: &Member, span: Span) -> Member {
    let mut field = field.clone();
    match &mut field {
        Member::Named(name) => name.set_span(span),
        Member::Unnamed(index) => index.span = span,
    }
    field
}

fn report_unknown(
    template: &Template,
    unknown: &[&Placeholder],
    scope: Scope<'_>,
    diagnostics: &mut Diagnostics,
) {
    let names = scope.names();
    let similar = |placeholder: &&Placeholder| {
        did_you_mean(&placeholder.root, names.iter().map(String::as_str)).is_some()
    };
    // `format_args!` knows no fields, and `self` would be a second error.
    let readable = template
        .placeholders()
        .all(|placeholder| placeholder.fields.is_empty() && placeholder.root != "self" && !placeholder.each);
    if readable && unknown.iter().any(similar) {
        diagnostics.probe(probe(&template.literal, scope));
        return;
    }
    for placeholder in unknown {
        let text = placeholder.text();
        if placeholder.each && scope.bindings.get(&placeholder.root).is_some() {
            let name = &placeholder.root;
            let message = format!(
                "`{text}` stands for the entries of a batch, which the `key` of a `#[cached]` function names; write `{{{name}}}`"
            );
            diagnostics.error(template.literal.span(), message);
            continue;
        }
        let remedy = did_you_mean(&placeholder.root, names.iter().map(String::as_str))
            .map_or_else(|| scope.bindings.listed(), |similar| format!("did you mean `{similar}`?"));
        diagnostics.error(template.literal.span(), format!("`{text}` names no parameter; {remedy}"));
    }
}

/// An item that does not compile, because the template is formatted where only the parameters exist. It holds the
/// user's own token, so rustc puts the caret inside the literal and proposes the similar name. The module keeps every
/// constant of the user's out.
fn probe(literal: &LitStr, scope: Scope<'_>) -> TokenStream {
    let parameters = scope.bindings.iter().filter(|binding| *binding != "self").cloned();
    let parameters = parameters.chain(scope.result.then(|| format_ident!("result", span = literal.span())));
    quote! {
        const _: () = {
            mod check {
                #[allow(dead_code, unused_variables, non_snake_case)]
                fn template(#(#parameters: &str),*) {
                    let _ = ::core::format_args!(#literal);
                }
            }
        };
    }
}

/// The text, where there is nothing but text.
pub(crate) fn fixed(writes: &[Write]) -> Option<&str> {
    match writes {
        [Write::Literal(text)] => Some(text),
        _ => None,
    }
}

/// A closure that writes a key.
pub(crate) fn emit(writes: &[Write], krate: &CratePath) -> TokenStream {
    if writes.is_empty() {
        return quote!(|_| {});
    }
    let key = local("key");
    let steps = writes.iter().map(|write| match write {
        Write::Literal(text) => quote!(#key.literal(#text);),
        Write::Part(root, fields) => {
            let private = krate.private_at(root.span());
            let part = quote_spanned!(generated_at(root.span())=> #private::part(#key, &#root #(.#fields)*));
            quote!(#part;)
        }
        Write::Element(element) => {
            let private = krate.private_at(element.span());
            let part = quote_spanned!(generated_at(element.span())=> #private::part(#key, #element));
            quote!(#part;)
        }
        Write::TypeName(parameter) => quote!(#key.type_name::<#parameter>();),
        Write::Wildcard => quote!(#key.wildcard();),
    });
    quote!(|#key| { #(#steps)* })
}
