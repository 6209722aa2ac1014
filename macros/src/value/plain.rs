//! Values with little syntax of their own: names, calls, numbers, expressions.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::Parse;
use syn::{Expr, ExprLit, Lit};

use crate::arguments::{FromValue, Value, peel};
use crate::diagnostics::Diagnostics;

/// An option that is only a word.
pub(crate) struct Flag;

impl FromValue for Flag {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        if matches!(value, Value::Word(_)) {
            return Some(Self);
        }
        diagnostics.error_on(value, format!("`{name}` takes no value; write only `{name}`"));
        None
    }
}

/// `name(a, b)`: names of parameters.
pub(crate) struct Names(pub(crate) Vec<Ident>);

impl FromValue for Names {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        value.items(name, Ident::parse_any, diagnostics).map(Self)
    }
}

/// `name(f(a), self.g(b))`: calls.
pub(crate) struct Calls(pub(crate) Vec<Expr>);

impl FromValue for Calls {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let exprs = value.items(name, Expr::parse, diagnostics)?;
        Some(Self(exprs.into_iter().filter(|expr| is_call(expr, diagnostics)).collect()))
    }
}

/// Whether the expression names an entry; reports it otherwise.
pub(crate) fn is_call(expr: &Expr, diagnostics: &mut Diagnostics) -> bool {
    let call = matches!(peel(expr), Expr::Call(_) | Expr::MethodCall(_));
    if !call {
        let remedy = match peel(expr) {
            Expr::Path(_) => "call it with the arguments of the entry",
            _ => "name an entry as in `product(db, id)`",
        };
        diagnostics.error_on(expr, format!("expected a call of a cached function; {remedy}"));
    }
    call
}

/// A fraction such as `0.1` or `"10%"`.
pub(crate) struct Fraction(pub(crate) f64);

impl FromValue for Fraction {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let number = match value.expr() {
            Some(Expr::Lit(ExprLit { lit: Lit::Float(number), .. })) => number.base10_parse().ok(),
            Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => number.base10_parse().ok(),
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => percentage(&text.value()),
            _ => None,
        };
        let fraction = number.filter(|number| (0.0..1.0).contains(number)).map(Self);
        if fraction.is_none() {
            diagnostics.error_on(
                value,
                format!("`{name}` is a fraction of at least 0 and below 1, such as `0.1` or `\"10%\"`"),
            );
        }
        fraction
    }
}

fn percentage(text: &str) -> Option<f64> {
    text.strip_suffix('%')?.trim().parse::<f64>().ok().map(|percent| percent / 100.0)
}

impl FromValue for u32 {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let number = match value.expr() {
            Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => number.base10_parse().ok(),
            _ => None,
        };
        if number.is_none() {
            diagnostics
                .error_on(value, format!("`{name}` is a whole number that fits `u32`, such as `{name} = 2`"));
        }
        number
    }
}

impl FromValue for Expr {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        if value.expr().is_none() {
            diagnostics.error_on(value, format!("`{name}` takes an expression; write `{name} = ..`"));
        }
        value.expr().cloned()
    }
}

impl FromValue for Ident {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let ident = match value.expr() {
            Some(Expr::Path(path)) if path.attrs.is_empty() && path.qself.is_none() => {
                path.path.get_ident().cloned()
            }
            _ => None,
        };
        if ident.is_none() {
            diagnostics
                .error_on(value, format!("`{name}` is the name of a new variable; write `{name} = name`"));
        }
        ident
    }
}
