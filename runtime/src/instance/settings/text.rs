//! Values as people write them. The fault is what is wrong, without the value.

use std::str::FromStr;
use std::time::Duration;

use super::{AfterFailover, Provider};

pub(in crate::instance) type Parsed<T> = Result<T, &'static str>;

/// What is left without the spaces and the pair of quotes that surround it; `None` if that is nothing.
pub(in crate::instance) fn given(text: &str) -> Option<&str> {
    let text = text.trim();
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    let text = quoted('"').or_else(|| quoted('\'')).unwrap_or(text);
    (!text.trim().is_empty()).then_some(text)
}

pub(in crate::instance) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("neither `true` nor `false`"),
    }
}

/// A whole number of any type: the range is that of the type.
pub(in crate::instance) fn number<T: FromStr>(text: &str) -> Parsed<T> {
    text.parse().map_err(|_| "not a whole number in range")
}

pub(in crate::instance) fn rate(text: &str) -> Parsed<f64> {
    text.parse().map_err(|_| "not a number")
}

/// `5s`, `250ms`, `1h 30m`, or a number of milliseconds.
pub(in crate::instance) fn duration(text: &str) -> Parsed<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Duration::from_millis).map_err(|_| "too long");
    }
    humantime::parse_duration(text)
        .map_err(|_| "not a time such as `5s` or `250ms`, nor a number of milliseconds")
}

/// `256mb` or a number of bytes. The units mean what they mean to Redis (`kb` is 1024 bytes and `k` 1000), which no crate
/// for sizes follows.
pub(in crate::instance) fn size(text: &str) -> Parsed<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1000 * 1000,
        "mb" => 1 << 20,
        "g" => 1000 * 1000 * 1000,
        "gb" => 1 << 30,
        _ => return Err("a size has no such unit (`kb`, `mb` and `gb` are known)"),
    };
    let number: u64 = digits.trim_end().parse().map_err(|_| "not a size")?;
    number.checked_mul(unit).ok_or("too large")
}

/// What commas separate, without what is empty.
pub(in crate::instance) fn list(text: &str) -> Vec<String> {
    text.split(',').filter_map(given).map(|part| part.trim().to_owned()).collect()
}

pub(in crate::instance) fn provider(text: &str) -> Parsed<Provider> {
    match text.to_ascii_lowercase().as_str() {
        "local" => Ok(Provider::Local),
        "upstash" => Ok(Provider::Upstash),
        _ => Err("neither `local` nor `upstash`"),
    }
}

pub(in crate::instance) fn after_failover(text: &str) -> Parsed<AfterFailover> {
    match text.to_ascii_lowercase().as_str() {
        "replay" => Ok(AfterFailover::Replay),
        "distrust" => Ok(AfterFailover::Distrust),
        "trust" => Ok(AfterFailover::Trust),
        _ => Err("none of `replay`, `distrust` and `trust`"),
    }
}
