//! Templates of keys, tags and patterns: `"product:{shop}:{order.id}"`.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprLit, Lit, LitStr, Member, Token};

use crate::arguments::{FromValue, Value, peel};
use crate::diagnostics::Diagnostics;

/// A template whose syntax is right; whether its names exist is not known yet.
pub(crate) struct Template {
    /// The user's own token, for errors of rustc that point into it.
    pub(crate) literal: LitStr,
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(String),
    Placeholder(Placeholder),
    Wildcard,
}

/// `{root.field.0}`, or `{root[]}`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) root: String,
    pub(crate) fields: Vec<Member>,
    /// Whether it stands for each element of the parameter, one entry each.
    pub(crate) each: bool,
}

/// Characters that no encoded argument contains, so they keep two arguments apart.
const SEPARATORS: &str = ":/|@=;&+$";
/// What else a literal may contain beside letters and digits.
const PUNCTUATION: &str = "-_.~, ";

impl Template {
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder),
            Piece::Literal(_) | Piece::Wildcard => None,
        })
    }

    /// The text with every placeholder erased: what functions whose entries are the same have in common.
    pub(crate) fn erased(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Placeholder(_) => "{}".to_owned(),
            Piece::Wildcard => "*".to_owned(),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// Reads a template of the option `option`; only `patterns` have wildcards.
    fn read(option: &Ident, literal: &LitStr, diagnostics: &mut Diagnostics) -> Option<Self> {
        let wildcards = option == "patterns";
        let checked =
            parse(&literal.value(), wildcards).and_then(|pieces| check(&pieces, wildcards).map(|()| pieces));
        match checked {
            Ok(pieces) => Some(Self { literal: literal.clone(), pieces }),
            Err(message) => {
                diagnostics.error(literal.span(), message);
                None
            }
        }
    }
}

impl FromValue for Template {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(Expr::Lit(ExprLit { lit: Lit::Str(literal), .. })) = value.expr() else {
            diagnostics.error_on(
                value,
                format!("`{name}` is a template in quotes; write `{name} = \"name:{{parameter}}\"`"),
            );
            return None;
        };
        Self::read(name, literal, diagnostics)
    }
}

impl FromValue for Vec<Template> {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(Expr::Array(array)) = value.expr() else {
            diagnostics.error_on(
                value,
                format!("`{name}` is a list of templates; write `{name} = [\"name:{{parameter}}\"]`"),
            );
            return None;
        };
        let read = |item: &Expr| {
            let Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) = peel(item) else {
                diagnostics.error_on(item, "expected a template in quotes");
                return None;
            };
            Template::read(name, literal, diagnostics)
        };
        Some(array.elems.iter().filter_map(read).collect())
    }
}

/// Splits a template into its pieces; the error says what is wrong and what to write.
fn parse(text: &str, wildcards: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("{{") || rest.starts_with("}}") {
            return Err(format!("`{c}{c}` is no escape here; braces are reserved for placeholders"));
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '{' => {
                flush(&mut literal, &mut pieces);
                let (name, behind) = rest.split_once('}').ok_or("`{` is never closed; add `}`")?;
                pieces.push(Piece::Placeholder(placeholder(name)?));
                rest = behind;
            }
            '}' => return Err("`}` closes nothing; add `{` or remove it".to_owned()),
            '*' if wildcards => {
                flush(&mut literal, &mut pieces);
                pieces.push(Piece::Wildcard);
            }
            _ => {
                check_literal(c)?;
                literal.push(c);
            }
        }
    }
    flush(&mut literal, &mut pieces);
    Ok(pieces)
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal)));
    }
}

fn placeholder(text: &str) -> Result<Placeholder, String> {
    if text.trim().is_empty() {
        return Err("`{}` has no name; name a parameter, as in `{id}`".to_owned());
    }
    if text.contains('{') {
        return Err("`{` is never closed; add `}`".to_owned());
    }
    if text.contains(':') {
        return Err(format!("`{{{text}}}` has a format; a key writes each type in one way, so leave it out"));
    }
    if let Some(name) = text.trim().strip_suffix("[]") {
        let root = Ident::parse_any.parse_str(name).map_err(|_| {
            format!(
                "`[]` goes behind the name of a parameter, as in `{{ids[]}}`; `{{{text}}}` has none there"
            )
        })?;
        return Ok(Placeholder { root: root.unraw().to_string(), fields: Vec::new(), each: true });
    }
    let parser = |input: ParseStream<'_>| {
        let root = input.call(Ident::parse_any)?;
        let mut fields = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![.]>()?;
            fields.push(input.parse()?);
        }
        Ok(Placeholder { root: root.unraw().to_string(), fields, each: false })
    };
    // `{pair.0.1}` holds a number `0.1` for the lexer, so dots are set apart first.
    parser.parse_str(&text.replace('.', " . ")).map_err(|_| {
        format!("`{{{text}}}` is neither a parameter nor one of its fields; write `{{id}}` or `{{order.id}}`")
    })
}

fn check_literal(c: char) -> Result<(), String> {
    match c {
        '*' => Err("`*` in a literal would match other keys; only `patterns` may contain it".to_owned()),
        '?' | '[' | ']' | '\\' => Err(format!("`{c}` in a literal would match other keys; remove it")),
        '#' => Err("`#` marks hashed keys; use `:` instead".to_owned()),
        _ if c.is_control() => {
            Err(format!("a control character (`{}`) in a literal; remove it", c.escape_default()))
        }
        _ if c.is_alphanumeric() || SEPARATORS.contains(c) || PUNCTUATION.contains(c) => Ok(()),
        _ => Err(format!(
            "`{c}` in a literal; use letters, digits, spaces and `{SEPARATORS}{}`",
            PUNCTUATION.trim()
        )),
    }
}

/// The rules that concern more than one piece.
fn check(pieces: &[Piece], wildcards: bool) -> Result<(), String> {
    if pieces.is_empty() {
        return Err("an empty template; write a name and the parameters, as in `\"product:{id}\"`".to_owned());
    }
    let named = |piece: &Piece| matches!(piece, Piece::Literal(text) if text.contains(char::is_alphanumeric));
    if wildcards && pieces.contains(&Piece::Wildcard) && !pieces.iter().any(named) {
        return Err(
            "this pattern would match everything; begin it with a name, as in `\"product:*\"`".to_owned()
        );
    }
    check_separators(pieces)
}

/// Different arguments must give different keys: between two of them stands a character that neither can contain.
fn check_separators(pieces: &[Piece]) -> Result<(), String> {
    let mut before: Option<&Placeholder> = None;
    for piece in pieces {
        match piece {
            Piece::Placeholder(placeholder) => {
                if let Some(before) = before.replace(placeholder) {
                    let (before, after) = (before.text(), placeholder.text());
                    let separators =
                        SEPARATORS.chars().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(" ");
                    return Err(format!(
                        "`{before}` and `{after}` run into each other; put one of {separators} between them"
                    ));
                }
            }
            Piece::Literal(text) if !text.contains(|c| SEPARATORS.contains(c)) => {}
            Piece::Literal(_) | Piece::Wildcard => before = None,
        }
    }
    Ok(())
}

impl Placeholder {
    /// As the user wrote it, in braces.
    pub(crate) fn text(&self) -> String {
        let mut text = self.root.clone();
        for field in &self.fields {
            text.push('.');
            match field {
                Member::Named(name) => text.push_str(&name.to_string()),
                Member::Unnamed(index) => text.push_str(&index.index.to_string()),
            }
        }
        let each = if self.each { "[]" } else { "" };
        format!("{{{text}{each}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, wildcards: bool) -> Result<Vec<Piece>, String> {
        parse(text, wildcards).and_then(|pieces| check(&pieces, wildcards).map(|()| pieces))
    }

    fn shown(pieces: &[Piece]) -> String {
        let show = |piece: &Piece| match piece {
            Piece::Literal(text) => format!("<{text}>"),
            Piece::Placeholder(placeholder) => placeholder.text(),
            Piece::Wildcard => "*".to_owned(),
        };
        pieces.iter().map(show).collect()
    }

    #[test]
    fn pieces_keep_their_order() {
        assert_eq!(
            shown(&read("product:{shop}:{order.id}/x", false).unwrap()),
            "<product:>{shop}<:>{order.id}</x>"
        );
        assert_eq!(shown(&read("{pair.0.1}", false).unwrap()), "{pair.0.1}");
        assert_eq!(shown(&read("{self.id}|{type}", false).unwrap()), "{self.id}<|>{type}");
        assert_eq!(shown(&read("product:{shop}:*", true).unwrap()), "<product:>{shop}<:>*");
    }

    #[test]
    fn a_separator_may_stand_anywhere_between() {
        assert!(read("{a}-x:{b}", false).is_ok());
        for ambiguous in ["{a}{b}", "{a}-{b}", "{a}.x,{b}", "{a}:{b}_{c}"] {
            let error = read(ambiguous, false).unwrap_err();
            assert!(error.contains("put one of `:` `/` `|` `@` `=` `;` `&` `+` `$` between them"), "{error}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("", "an empty template"),
            ("a:{", "never closed"),
            ("a:{b{c}", "never closed"),
            ("a}", "closes nothing"),
            ("{{a}}", "`{{` is no escape"),
            ("a:{}", "has no name"),
            ("a:{ }", "has no name"),
            ("a:{id:?}", "has a format"),
            ("a:{id()}", "neither a parameter nor one of its fields"),
            ("a:{id.}", "neither a parameter nor one of its fields"),
            ("a:*", "only `patterns`"),
            ("a?", "would match other keys"),
            ("a#b", "marks hashed keys"),
            ("a\nb", "control character (`\\n`)"),
            ("a\"b", "use letters, digits"),
        ] {
            let error = read(text, false).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_pattern_names_what_it_matches() {
        for everything in ["*", "{a}*", ":*", "*:*"] {
            assert!(read(everything, true).unwrap_err().contains("match everything"), "{everything}");
        }
        assert!(read("*:product", true).is_ok());
    }
}
