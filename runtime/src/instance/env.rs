//! Configuration by environment variables. A bad value is one error that names the variable, the fault and a good
//! example, never a secret.

use std::time::Duration;

use super::{Builder, Keylatch};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry;

pub(super) fn from_env(read: impl Fn(&'static str) -> Option<String>) -> Result<Keylatch> {
    let set = |name| read(name).filter(|value| !value.trim().is_empty());
    let mut builder = Builder::default();
    match set("REDIS_URL") {
        Some(url) => builder = builder.redis_url_from(url, "REDIS_URL"),
        None => telemetry::embedded_by_default(),
    }
    if let Some(prefix) = set("REDIS_KEY_PREFIX") {
        builder = builder.namespace_from(prefix, "REDIS_KEY_PREFIX");
    }
    if let Some(limit) = set("REDIS_CONNECT_TIMEOUT") {
        builder = builder.connect_timeout(millis("REDIS_CONNECT_TIMEOUT", &limit)?);
    }
    if let Some(limit) = set("REDIS_COMMAND_TIMEOUT") {
        builder = builder.command_timeout(millis("REDIS_COMMAND_TIMEOUT", &limit)?);
    }
    if let Some(limit) = set("KEYLATCH_MEMORY_LIMIT") {
        builder = builder.memory_limit(bytes("KEYLATCH_MEMORY_LIMIT", &limit)?);
    }
    builder.build()
}

fn millis(name: &'static str, value: &str) -> Result<Duration> {
    match value.trim().parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err(bad(name, value, "not a number of milliseconds above zero", "write for example `5000`")),
    }
}

fn bytes(name: &'static str, value: &str) -> Result<u64> {
    let lower = value.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: Option<u64> = match &lower[digits.len()..] {
        "" | "b" => Some(1),
        "kb" => Some(1 << 10),
        "mb" => Some(1 << 20),
        "gb" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = digits.trim().parse().ok();
    number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| bad(name, value, "not a size above zero", "write for example `64mb`"))
}

fn bad(name: &'static str, value: &str, fault: &'static str, remedy: &'static str) -> Error {
    // None of the variables that come here holds a secret.
    Error::new(ErrorKind::Configuration, "configure")
        .with("variable", name)
        .with("value", value)
        .with("fault", fault)
        .remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vars: &[(&str, &str)]) -> Result<Keylatch> {
        from_env(|name| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_bad_value_names_its_variable() {
        for (name, value) in [
            ("REDIS_URL", "postgres://localhost"),
            ("REDIS_KEY_PREFIX", "a b"),
            ("REDIS_CONNECT_TIMEOUT", "soon"),
            ("REDIS_COMMAND_TIMEOUT", "0"),
            ("KEYLATCH_MEMORY_LIMIT", "64 elephants"),
        ] {
            let error = check(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in ["redis://:s3cret@localhost:no-port", "s3cret", "redis://:s3cret@localhost"] {
            match check(&[("REDIS_URL", url)]) {
                Ok(keylatch) => assert!(!format!("{keylatch:?}").contains("s3cret")),
                Err(error) => assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}"),
            }
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("X", "64mb").unwrap(), 64 << 20);
        assert_eq!(bytes("X", "1 GB").unwrap(), 1 << 30);
        assert_eq!(bytes("X", "1024").unwrap(), 1024);
    }
}
