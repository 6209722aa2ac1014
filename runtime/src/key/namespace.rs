//! The prefix that keeps one application's keys apart from everything else on the server.

use crate::error::{Error, ErrorKind, Result};

/// A checked prefix: `[A-Za-z0-9:._/-]`, 1 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace(Box<str>);

impl Namespace {
    const DEFAULT: &'static str = "keylatch";

    pub(crate) fn new(name: &str, setting: &'static str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '/' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            return Err(Error::new(ErrorKind::Configuration, "configure")
                .with("setting", setting)
                .with("fault", "a namespace is 1 to 64 letters, digits or `:` `.` `_` `/` `-`")
                .remedy("write for example `shop-production`"));
        }
        Ok(Self(name.into()))
    }

    /// The namespace of those who configure none.
    pub(crate) fn by_default() -> Self {
        Self(Self::DEFAULT.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
