//! A function as the attributes see it: its signature is read, its body is never looked into.

use proc_macro2::{Group, TokenStream};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{AttrStyle, Attribute, Signature, Visibility, braced};

/// A function with its body kept as opaque tokens, so half-typed bodies still expand in an editor.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Group,
}

impl Function {
    /// The same function with items before the first statement.
    pub(crate) fn with_prologue(mut self, items: &TokenStream) -> Self {
        let mut tokens = items.clone();
        tokens.extend(self.body.stream());
        self.body = braces_like(&self.body, tokens);
        self
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature = input.parse()?;
        let body: Group = input.fork().parse()?;
        let content;
        braced!(content in input);
        // Inner attributes move outside, for the body may become the body of a closure, which cannot have them.
        for mut attribute in content.call(Attribute::parse_inner)? {
            attribute.style = AttrStyle::Outer;
            attributes.push(attribute);
        }
        let body = braces_like(&body, content.parse()?);
        Ok(Self { attributes, visibility, signature, body })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attribute in &self.attributes {
            attribute.to_tokens(tokens);
        }
        self.visibility.to_tokens(tokens);
        self.signature.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

/// Braces around `tokens` that have the span of `model`: errors about a missing value point there.
pub(crate) fn braces_like(model: &Group, tokens: TokenStream) -> Group {
    let mut braces = Group::new(model.delimiter(), tokens);
    braces.set_span(model.span());
    braces
}
