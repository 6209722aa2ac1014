//! Durations: `"30s"`, `"1h 30m"`, or an expression of type `Duration`.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{ToTokens, quote};
use syn::{Expr, ExprLit, ExprUnary, Lit, LitStr, UnOp};

use crate::arguments::{FromValue, Given, Value};
use crate::diagnostics::{Diagnostics, did_you_mean};

/// How long something takes or lasts.
pub(crate) enum Duration {
    /// Known while compiling, so it can be checked.
    Micros(u64, LitStr),
    /// Known at run time.
    Expr(Expr),
}

const UNITS: &str = "the units are `us`, `ms`, `s`, `m`, `h` and `d`";

/// The length of each unit in microseconds.
const KNOWN: [(&str, u64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// What people write for a unit, too far from it for a guess by likeness.
const ALIASES: [(&str, &[&str]); 6] = [
    ("us", &["µs", "μs", "usec", "micros", "microseconds"]),
    ("ms", &["msec", "millis", "millisecond", "milliseconds"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
];

impl Duration {
    /// Whether it is known while compiling.
    pub(crate) fn is_literal(&self) -> bool {
        matches!(self, Self::Micros(..))
    }

    /// Tokens of an expression of type `Duration`; `private` is where the runtime keeps that type.
    pub(crate) fn emit(&self, private: &TokenStream) -> TokenStream {
        match self {
            Self::Expr(expr) => expr.to_token_stream(),
            Self::Micros(micros, _) if micros.is_multiple_of(1_000) => {
                let millis = Literal::u64_unsuffixed(micros / 1_000);
                quote!(#private::Duration::from_millis(#millis))
            }
            Self::Micros(micros, _) => {
                let micros = Literal::u64_unsuffixed(*micros);
                quote!(#private::Duration::from_micros(#micros))
            }
        }
    }
}

/// Takes a duration for which zero makes no sense; `why` says so, after "of zero" and with the remedy.
pub(crate) fn positive(
    given: Option<Given<Duration>>,
    why: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Duration> {
    let Given { name, value } = given?;
    check_positive(&name, value.as_ref(), why, diagnostics);
    value
}

/// Reports a literal of zero.
pub(crate) fn check_positive(
    name: &Ident,
    value: Option<&Duration>,
    why: &str,
    diagnostics: &mut Diagnostics,
) {
    if let Some(Duration::Micros(0, literal)) = value {
        diagnostics.error(literal.span(), format!("`{name}` of zero {why}"));
    }
}

impl FromValue for Duration {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let result = match value.expr() {
            None => Err(format!("`{name}` is a duration; write `{name} = \"30s\"`")),
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => {
                parse(&text.value()).map(|micros| Self::Micros(micros, text.clone()))
            }
            Some(Expr::Lit(ExprLit { lit, .. })) => Err(not_a_duration(lit)),
            Some(Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. })) => {
                Err("a duration cannot be negative; write one such as `\"30s\"`".to_owned())
            }
            Some(expr) => Ok(Self::Expr(expr.clone())),
        };
        result.map_err(|message| diagnostics.error_on(value, message)).ok()
    }
}

/// What is wrong with a literal that is no string.
fn not_a_duration(literal: &Lit) -> String {
    match literal {
        Lit::Int(number) if number.suffix().is_empty() => format!("say the unit: `\"{number}s\"`"),
        Lit::Int(number) => format!("put quotes around it: `\"{number}\"`"),
        Lit::Float(_) => {
            "a duration has whole numbers with units; write `\"1s 500ms\"` for one and a half seconds"
                .to_owned()
        }
        _ => "not a duration; write one such as `\"30s\"`".to_owned(),
    }
}

/// The microseconds of a text such as `1h 30m`.
fn parse(text: &str) -> Result<u64, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("an empty duration; write one such as `\"30s\"`".to_owned());
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, behind) = split_where(rest, |c| !c.is_ascii_digit());
        if number.is_empty() {
            return Err(format!("a duration is numbers with units, as in `\"1h 30m\"`; found `{rest}`"));
        }
        if behind.starts_with(['.', ',']) {
            return Err(
                "a duration has whole numbers; write `\"1h 30m\"` for one and a half hours".to_owned()
            );
        }
        let (unit, behind) = split_where(behind.trim_start(), |c| c.is_whitespace() || c.is_ascii_digit());
        let length =
            KNOWN.iter().find(|(known, _)| *known == unit).ok_or_else(|| unknown_unit(number, unit))?.1;
        let micros = number.parse::<u64>().ok().and_then(|number| number.checked_mul(length));
        total = micros
            .and_then(|micros| total.checked_add(micros))
            .ok_or_else(|| format!("`{text}` is too long to count"))?;
        rest = behind.trim_start();
    }
    Ok(total)
}

fn split_where(text: &str, stop: fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

fn unknown_unit(number: &str, unit: &str) -> String {
    if unit.is_empty() {
        return format!("say the unit: `\"{number}s\"`; {UNITS}");
    }
    let lower = unit.to_lowercase();
    let alias = ALIASES
        .iter()
        .find(|(short, long)| *short == lower || long.contains(&lower.as_str()))
        .map(|(short, _)| *short);
    let similar = alias.or_else(|| did_you_mean(&lower, KNOWN.map(|(known, _)| known)));
    let hint = similar.map_or_else(String::new, |similar| format!("did you mean `\"{number}{similar}\"`? "));
    format!("unknown unit `{unit}`; {hint}{UNITS}")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_with_units_add_up() {
        let micros = |text| parse(text).unwrap();
        assert_eq!(micros("250us"), 250);
        assert_eq!(micros("250ms"), 250_000);
        assert_eq!(micros("30s"), 30_000_000);
        assert_eq!(micros("5m"), 300_000_000);
        assert_eq!(micros("7d"), 7 * 86_400_000_000);
        assert_eq!(micros("1h 30m"), 5_400_000_000);
        assert_eq!(micros(" 1h30m "), 5_400_000_000);
        assert_eq!(micros("2 s"), 2_000_000);
        assert_eq!(micros("0s"), 0);
    }

    #[test]
    fn mistakes_name_their_remedy() {
        let error = |text| parse(text).unwrap_err();
        assert_eq!(error("60"), "say the unit: `\"60s\"`; the units are `us`, `ms`, `s`, `m`, `h` and `d`");
        assert!(error("5min").starts_with("unknown unit `min`; did you mean `\"5m\"`? the units are"));
        assert!(error("5S").contains("did you mean `\"5s\"`?"));
        assert!(error("5parsecs").starts_with("unknown unit `parsecs`; the units are"));
        assert!(error("1.5h").contains("write `\"1h 30m\"`"));
        assert!(error("soon").contains("found `soon`"));
        assert!(error("").starts_with("an empty duration"));
        assert!(error("-5s").contains("found `-5s`"));
        assert!(error("99999999999999999999s").contains("too long"));
        assert!(error("999999999999d").contains("too long"));
    }
}
