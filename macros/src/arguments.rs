//! Syntax of an attribute's arguments: `name = value`, `name(..)`, `name`, and calls. Meaning is left to the values.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, Token, Type, parenthesized};

use crate::diagnostics::{Diagnostics, did_you_mean, list};

/// What may stand in the parentheses of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// Options only; `name(..)` is one of them.
    Options,
    /// Options `name = value`, and expressions.
    OptionsAndCalls,
}

/// The arguments of one attribute. Options are [taken](Self::take) one by one, and what is left in the end is unknown.
pub(crate) struct Arguments {
    pub(crate) positional: Vec<Expr>,
    options: Vec<(Ident, Value)>,
    known: Vec<&'static str>,
}

/// An option that was given.
pub(crate) struct Given<T> {
    pub(crate) name: Ident,
    /// Nothing if the value was wrong, which has been reported: the option is not missing then.
    pub(crate) value: Option<T>,
}

/// The options that misspelt ones were most likely meant for: none of them is missing.
pub(crate) struct Misspelt(Vec<&'static str>);

impl Misspelt {
    /// Whether one of `options` was meant.
    pub(crate) fn any(&self, options: &[&str]) -> bool {
        self.0.iter().any(|meant| options.contains(meant))
    }
}

/// What follows the name of an option.
pub(crate) enum Value {
    /// `name`
    Word(Ident),
    /// `name(..)`
    List(TokenStream),
    /// `name = value`
    Expr(Expr),
    /// `name = Type<..>`, where that is no expression.
    Type(Type),
    /// `name = ` something that is neither, which has been reported.
    Invalid,
}

/// A value of an option; it owns the wording of what can be wrong with it.
pub(crate) trait FromValue: Sized {
    /// Reads the value of the option `name`, or reports what is wrong.
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self>;
}

impl Arguments {
    /// Reads all arguments; after a mistake it goes on behind the next comma.
    pub(crate) fn parse(tokens: TokenStream, grammar: Grammar, diagnostics: &mut Diagnostics) -> Self {
        let mut arguments = Self { positional: Vec::new(), options: Vec::new(), known: Vec::new() };
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                diagnostics.ok(arguments.parse_one(input, grammar));
                // Without a comma, what looks like an option is one.
                if !is_option(input) {
                    take_to_comma(input)?;
                }
                input.parse::<Option<Token![,]>>()?;
            }
            Ok(())
        };
        let parsed = parser.parse2(tokens);
        diagnostics.ok(parsed);
        arguments
    }

    fn parse_one(&mut self, input: ParseStream<'_>, grammar: Grammar) -> syn::Result<()> {
        let assigned = input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]);
        if !assigned && grammar == Grammar::OptionsAndCalls {
            self.positional.push(input.parse()?);
            return ends(input);
        }
        if !input.peek(Ident::peek_any) {
            return Err(input.error("expected an option, as in `ttl = \"1h\"`"));
        }
        let name = input.call(Ident::parse_any)?;
        let value = if assigned {
            input.parse::<Token![=]>()?;
            Value::parse_assigned(&name, input)
                .inspect_err(|_| self.options.push((name.clone(), Value::Invalid)))?
        } else if input.peek(syn::token::Paren) {
            let content;
            parenthesized!(content in input);
            Value::List(content.parse()?)
        } else {
            Value::Word(name.clone())
        };
        self.options.push((name, value));
        ends(input)
    }

    /// Takes the option `name`, and makes it known.
    pub(crate) fn take<T: FromValue>(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Given<T>> {
        self.known.push(name);
        let mut found = self.options.extract_if(.., |(given, _)| given == name);
        let (name, value) = found.next()?;
        for (again, _) in found {
            diagnostics.error(again.span(), format!("`{again}` is given twice; keep one"));
        }
        let value =
            if matches!(value, Value::Invalid) { None } else { T::from_value(&name, &value, diagnostics) };
        Some(Given { name, value })
    }

    /// Reports the options that nothing took.
    pub(crate) fn finish(self, diagnostics: &mut Diagnostics) -> Misspelt {
        let mut misspelt = Misspelt(Vec::new());
        for (name, _) in &self.options {
            let similar = did_you_mean(&name.to_string(), self.known.iter().copied());
            let remedy = match (similar, self.known.as_slice()) {
                (Some(similar), _) => format!("did you mean `{similar}`?"),
                (None, [only]) => format!("the only option is `{only}`"),
                (None, known) => format!("the options are {}", list(known.iter().copied())),
            };
            diagnostics.error(name.span(), format!("unknown option `{name}`; {remedy}"));
            misspelt.0.extend(similar);
        }
        misspelt
    }
}

impl Value {
    fn parse_assigned(name: &Ident, input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new(name.span(), format!("`{name}` has no value; write `{name} = ..`")));
        }
        // `Own<A, B>` would also read as the comparison `Own < A`, so a codec is tried as a type first.
        if name == "codec"
            && let Some(ty) = parse_whole(input)
        {
            return Ok(Self::Type(ty));
        }
        let start = input.fork();
        let value = input.parse().map(Self::Expr);
        // `1h 30m`
        if start.peek(syn::LitInt) && input.peek(syn::Lit) {
            let tokens: Vec<TokenTree> = take_to_comma(&start)?;
            let text = tokens.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let message = format!("put quotes around it: `\"{text}\"`");
            take_to_comma(input)?;
            return Err(syn::Error::new_spanned(quote!(#(#tokens)*), message));
        }
        value
    }

    /// The expression behind `=`, without the invisible group that a fragment of `macro_rules!` comes in.
    pub(crate) fn expr(&self) -> Option<&Expr> {
        match self {
            Self::Expr(expr) => Some(peel(expr)),
            _ => None,
        }
    }

    /// The one word behind `=`, bare or in quotes. Keywords are words.
    pub(crate) fn word(&self) -> Option<String> {
        match self {
            Self::Expr(expr) => match peel(expr) {
                Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
                other => Ident::parse_any.parse2(other.to_token_stream()).ok().map(|word| word.to_string()),
            },
            Self::Type(ty) => Ident::parse_any.parse2(ty.to_token_stream()).ok().map(|word| word.to_string()),
            Self::Word(_) | Self::List(_) | Self::Invalid => None,
        }
    }

    /// The items of `name(..)`.
    pub(crate) fn items<T: Parse>(
        &self,
        name: &Ident,
        parse: fn(ParseStream<'_>) -> syn::Result<T>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<T>> {
        let Self::List(tokens) = self else {
            diagnostics.error_on(self, format!("`{name}` takes parentheses; write `{name}(..)`"));
            return None;
        };
        let parser = |input: ParseStream<'_>| Punctuated::<T, Token![,]>::parse_terminated_with(input, parse);
        let items: Vec<T> = diagnostics.ok(parser.parse2(tokens.clone()))?.into_iter().collect();
        if items.is_empty() {
            diagnostics.error(name.span(), format!("`{name}` names nothing; remove it"));
        }
        Some(items)
    }
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Word(name) => name.to_tokens(tokens),
            Self::List(list) => tokens.extend(quote!((#list))),
            Self::Expr(expr) => expr.to_tokens(tokens),
            Self::Type(ty) => ty.to_tokens(tokens),
            Self::Invalid => {}
        }
    }
}

/// Takes the value of an option that is not required: wrong and absent are the same from here on.
pub(crate) fn value<T>(given: Option<Given<T>>) -> Option<T> {
    given.and_then(|given| given.value)
}

/// The expression within invisible groups.
pub(crate) fn peel(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => peel(&group.expr),
        other => other,
    }
}

/// Parses a `T` that reaches to the next comma or the end; otherwise nothing is consumed.
fn parse_whole<T: Parse>(input: ParseStream<'_>) -> Option<T> {
    let fork = input.fork();
    let parsed = fork.parse().ok()?;
    (fork.is_empty() || fork.peek(Token![,])).then(|| {
        input.advance_to(&fork);
        parsed
    })
}

fn is_option(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any)
        && (input.peek2(Token![=]) && !input.peek2(Token![==]) || input.peek2(syn::token::Paren))
}

fn ends(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) { Ok(()) } else { Err(input.error("expected `,`")) }
}

fn take_to_comma(input: ParseStream<'_>) -> syn::Result<Vec<TokenTree>> {
    let mut tokens = Vec::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.push(input.parse()?);
    }
    Ok(tokens)
}
