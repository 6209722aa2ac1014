//! Which arguments the key of a cached function holds: every one, unless it is skipped by name.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{FnArg, GenericParam, Signature};

use crate::arguments::{Given, value};
use crate::diagnostics::{Diagnostics, did_you_mean};
use crate::signature::Bindings;
use crate::value::{Names, Template};
use crate::writes::{Scope, Write, resolve};

/// A key that every argument affects, but for those that the user said do not.
pub(crate) enum Key {
    /// From the template, with that template's text.
    Explicit(Vec<Write>, String),
    /// The function's path and these.
    Default(Vec<Write>),
}

impl Key {
    pub(crate) fn new(
        template: Option<Given<Template>>,
        skip: Option<Given<Names>>,
        all_skipped: bool,
        bindings: &Bindings,
        signature: &Signature,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let given = template.is_some();
        let template = value(template);
        let named: HashSet<&str> = template
            .iter()
            .flat_map(Template::placeholders)
            .map(|placeholder| placeholder.root.as_str())
            .collect();
        let skipped = Skipped::new(skip, all_skipped, bindings, &named, diagnostics);

        let mut writes = match &template {
            Some(template) => resolve(template, Scope { bindings, result: false }, diagnostics)?,
            // A wrong template was reported, and what it would have named is not known.
            None if given => return None,
            None => default_writes(bindings, &skipped),
        };
        for binding in bindings.iter().filter(|binding| !skipped.contains(binding)) {
            let name = binding.unraw().to_string();
            if name == "self" && !named.contains("self") {
                diagnostics.error(
                    binding.span(),
                    "`self` does not affect the key: name one of its fields, as in `{self.id}`, or `skip(self)`",
                );
            } else if given && !named.contains(name.as_str()) {
                let message =
                    format!("`{name}` does not affect the key: add `{{{name}}}` to it or `skip({name})`");
                diagnostics.error(binding.span(), message);
            }
        }
        writes.extend(of_generics(signature));
        Some(match template {
            Some(template) => Self::Explicit(writes, template.erased()),
            None => Self::Default(writes),
        })
    }
}

/// What does not affect the key.
struct Skipped {
    names: HashSet<String>,
    /// Also after a mistake in the list, which may be what an argument is missing from.
    all: bool,
}

impl Skipped {
    fn new(
        skip: Option<Given<Names>>,
        all: bool,
        bindings: &Bindings,
        named: &HashSet<&str>,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut skipped = Self { names: HashSet::new(), all };
        let Some(skip) = skip else { return skipped };
        let Some(Names(idents)) = skip.value else {
            skipped.all = true;
            return skipped;
        };
        for ident in idents {
            let name = ident.unraw().to_string();
            if bindings.get(&name).is_none() {
                skipped.all = true;
                let parameters = bindings.names();
                let remedy = did_you_mean(&name, parameters.iter().map(String::as_str))
                    .map_or_else(String::new, |similar| format!("did you mean `{similar}`? "));
                diagnostics.error(
                    ident.span(),
                    format!("unknown parameter `{name}`; {remedy}{}", bindings.listed()),
                );
            } else if named.contains(name.as_str()) {
                diagnostics
                    .error(ident.span(), format!("`{name}` is in the key; remove it from one of the two"));
            } else if !skipped.names.insert(name) {
                diagnostics.error(ident.span(), format!("`{ident}` is skipped twice; keep one"));
            }
        }
        skipped
    }

    fn contains(&self, binding: &Ident) -> bool {
        self.all || self.names.contains(&binding.unraw().to_string())
    }
}

fn default_writes(bindings: &Bindings, skipped: &Skipped) -> Vec<Write> {
    bindings
        .iter()
        .filter(|binding| !skipped.contains(binding))
        .flat_map(|binding| [Write::Literal(":".to_owned()), Write::Part(binding.clone(), Vec::new())])
        .collect()
}

/// Type and const parameters that no argument's type tells: the body can depend on them all the same, as in
/// `fn load<T: Table>(id: u64)`, and two of them must not share an entry.
fn of_generics(signature: &Signature) -> Vec<Write> {
    let types: TokenStream = signature
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed.ty.to_token_stream()),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let told = |name: &Ident| occurs(name, types.clone());
    let write = |parameter: &GenericParam| match parameter {
        GenericParam::Type(parameter) if !told(&parameter.ident) => {
            Some(Write::TypeName(parameter.ident.clone()))
        }
        GenericParam::Const(parameter) if !told(&parameter.ident) => {
            Some(Write::Part(parameter.ident.clone(), Vec::new()))
        }
        _ => None,
    };
    let literal = |text: &str| Write::Literal(text.to_owned());
    signature
        .generics
        .params
        .iter()
        .filter_map(write)
        .flat_map(|write| [literal("<"), write, literal(">")])
        .collect()
}

fn occurs(name: &Ident, tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *name,
        TokenTree::Group(group) => occurs(name, group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
