//! Facts of a signature: what the parameters bind, and which shape the return type has.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    FnArg, GenericArgument, Pat, PatIdent, PathArguments, ReturnType, Safety, Signature, Type, parse_quote,
};

use crate::diagnostics::{Diagnostics, list};

/// Every name that the parameters bind, `self` first; only these can reach the body.
pub(crate) struct Bindings {
    names: Vec<Ident>,
    /// The parameters of which each element has an entry of its own, and what an element is called.
    elements: Vec<(String, Ident)>,
}

impl Bindings {
    pub(crate) fn of(signature: &Signature, diagnostics: &mut Diagnostics) -> Self {
        let mut collector = Collector { bindings: Vec::new(), diagnostics };
        for input in &signature.inputs {
            match input {
                FnArg::Receiver(receiver) => {
                    collector.bindings.push(Ident::new("self", receiver.self_token.span));
                }
                FnArg::Typed(typed) => collector.visit_pat(&typed.pat),
            }
        }
        Self { names: collector.bindings, elements: Vec::new() }
    }

    /// Makes `{parameter[]}` known, for each of these as its variable.
    pub(crate) fn with_elements(self, elements: Vec<(String, Ident)>) -> Self {
        Self { elements, ..self }
    }

    /// What stands for an element of that parameter.
    pub(crate) fn element(&self, parameter: &str) -> Option<&Ident> {
        self.elements.iter().find(|(name, _)| name == parameter).map(|(_, element)| element)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Ident> {
        self.names.iter().find(|binding| binding.unraw() == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ident> {
        self.names.iter()
    }

    /// The names as a template spells them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.iter().map(|binding| binding.unraw().to_string()).collect()
    }

    /// The end of an error about an unknown name.
    pub(crate) fn listed(&self) -> String {
        let names = self.names();
        if names.is_empty() {
            return "the function has no parameters".to_owned();
        }
        match names.as_slice() {
            [only] => format!("the only parameter is `{only}`"),
            names => format!("the parameters are {}", list(names.iter().map(String::as_str))),
        }
    }
}

struct Collector<'a> {
    bindings: Vec<Ident>,
    diagnostics: &'a mut Diagnostics,
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        self.bindings.push(pattern.ident.clone());
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_pat(&mut self, pattern: &'ast Pat) {
        if let Pat::Macro(pattern) = pattern {
            self.diagnostics
                .error_on(pattern, "what a macro binds is not visible here; write the pattern out");
        }
        visit::visit_pat(self, pattern);
    }
}

/// Reports what keeps `#[name]` from wrapping the function.
pub(crate) fn check_wrappable(name: &str, signature: &Signature, diagnostics: &mut Diagnostics) {
    if signature.asyncness.is_none() {
        let function = &signature.ident;
        // No function is both, so a constant one is one mistake.
        let place = signature.constness.as_ref().map_or(signature.fn_token.span, |constness| constness.span);
        diagnostics.error(place, format!("`#[{name}]` goes on an `async fn`; write `async fn {function}`"));
    }
    if let Safety::Unsafe(token) = &signature.safety {
        diagnostics
            .error_on(token, format!("`#[{name}]` cannot go on an `unsafe fn`; wrap it in a safe one"));
    }
    if let Some(abi) = &signature.abi {
        diagnostics
            .error_on(abi, format!("`#[{name}]` cannot go on an `extern fn`; call one of its own from it"));
    }
    if let Some(variadic) = &signature.variadic {
        diagnostics.error_on(
            variadic,
            format!("`#[{name}]` cannot go on a variadic function; call one of its own from it"),
        );
    }
    if let Some(token) = find_impl_trait(&signature.output) {
        diagnostics.error(token, "`impl Trait` in the return type hides which type it is; name the type");
    }
}

fn find_impl_trait(output: &ReturnType) -> Option<Span> {
    struct Finder(Option<Span>);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_type_impl_trait(&mut self, found: &'ast syn::TypeImplTrait) {
            self.0.get_or_insert(found.impl_token.span);
        }
    }
    let mut finder = Finder(None);
    finder.visit_return_type(output);
    finder.0
}

/// How the value lies in the return type, by the name of the latter. The runtime has a type of the same name for each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `Result<T, E>`
    Fallible,
    /// `Result<Option<T>, E>`
    FallibleOptional,
    /// `Option<T>`
    Optional,
    /// Anything else.
    Plain,
}

impl Shape {
    /// Whether absence can be told from presence.
    pub(crate) fn is_optional(self) -> bool {
        matches!(self, Self::Optional | Self::FallibleOptional)
    }

    /// Whether the return type is no `Result` by its name. An alias of one may hide behind it.
    pub(crate) fn is_infallible(self) -> bool {
        matches!(self, Self::Optional | Self::Plain)
    }
}

impl ToTokens for Shape {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Fallible => quote!(Fallible),
            Self::FallibleOptional => quote!(FallibleOptional),
            Self::Optional => quote!(Optional),
            Self::Plain => quote!(Plain),
        });
    }
}

/// A return type taken apart.
pub(crate) struct Output {
    pub(crate) ty: Type,
    /// What a caller gets when all goes well.
    pub(crate) value: Type,
    /// What is stored; absence is not part of it.
    pub(crate) payload: Type,
    pub(crate) shape: Shape,
    pub(crate) span: Span,
}

impl Output {
    pub(crate) fn of(signature: &Signature) -> Self {
        let (ty, span): (Type, Span) = match &signature.output {
            ReturnType::Default => (parse_quote!(()), signature.ident.span()),
            ReturnType::Type(_, ty) => (Type::clone(ty), ty.span()),
        };
        let (value, fallible) = match argument_of("Result", &ty) {
            Some(value) => (value.clone(), true),
            None => (ty.clone(), false),
        };
        let (payload, optional) = match argument_of("Option", &value) {
            Some(payload) => (payload.clone(), true),
            None => (value.clone(), false),
        };
        let shape = match (fallible, optional) {
            (true, false) => Shape::Fallible,
            (true, true) => Shape::FallibleOptional,
            (false, true) => Shape::Optional,
            (false, false) => Shape::Plain,
        };
        Self { ty, value, payload, shape, span }
    }

    /// Whether the function returns nothing at all.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(peel(&self.ty), Type::Tuple(tuple) if tuple.elems.is_empty())
    }
}

/// The first type argument of a type whose path ends in `name`.
pub(crate) fn argument_of<'a>(name: &str, ty: &'a Type) -> Option<&'a Type> {
    let Type::Path(path) = peel(ty) else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let first = arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    first.filter(|_| last.ident == name)
}

/// The type within parentheses and invisible groups.
pub(crate) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        other => other,
    }
}
