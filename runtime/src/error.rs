//! The error of every fallible operation that is not a lock.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What every fallible operation of this crate returns, locks excepted (see [`LockError`](crate::LockError)).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed: a [kind](ErrorKind), the operation, its context and its cause.
///
/// `Display` is one line without secrets: no password, token, or value ever reaches it. `Clone` is cheap.
///
/// ```
/// use keylatch::{ErrorKind, Keylatch};
///
/// let error = Keylatch::builder().redis_url("http://localhost").build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// assert!(error.to_string().contains("redis_url"));
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    context: Vec<(&'static str, String)>,
    remedy: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    unsent: bool,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing, malformed or contradicts another. The context names it.
    Configuration,
    /// The server could not be reached, or the connection broke before the answer came.
    Unavailable,
    /// The answer did not come within the time-out. The command may or may not have run.
    Timeout,
    /// The server answered with an error.
    Refused,
    /// The server answered with something that the command cannot answer.
    Protocol,
    /// A value could not be encoded.
    Encode,
    /// What was read could not be decoded.
    Decode,
    /// A pattern is malformed, or would match everything.
    Pattern,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, operation: &'static str) -> Self {
        let (context, remedy, source) = (Vec::new(), None, None);
        Self(Arc::new(Inner { kind, operation, context, remedy, source, unsent: false }))
    }

    pub(crate) fn with(self, name: &'static str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        self.change(|inner| inner.context.push((name, value)))
    }

    pub(crate) fn because(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        self.change(|inner| inner.source = Some(source))
    }

    pub(crate) fn remedy(self, remedy: &'static str) -> Self {
        self.change(|inner| inner.remedy = Some(remedy))
    }

    /// Nothing was sent.
    pub(crate) fn unsent(self) -> Self {
        self.change(|inner| inner.unsent = true)
    }

    /// This was the second of two requests. The first may have been carried out, though nobody knows: it was repeated, say, and
    /// another server answered.
    pub(crate) fn after_another(self) -> Self {
        if self.is_unsent() { self.during(self.operation()) } else { self }
    }

    /// The same failure as seen by the operation that ran into it.
    pub(crate) fn during(&self, operation: &'static str) -> Self {
        Self::new(self.kind(), operation).because(self.clone())
    }

    // Errors are built by their one owner, before they are shared, so the change is never lost in practice.
    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    /// The kind, for deciding what to do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed, such as `"read"` or `"invalidate"`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Names and values that say which setting, key or endpoint is concerned. Never a secret.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether no server can have heard of it.
    pub(crate) fn is_unsent(&self) -> bool {
        self.0.unsent
    }

    /// Whether the server refused with that code.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.context().any(|(name, value)| name == "code" && value == code)
    }

    /// Whether the same operation may succeed later without any change by the caller.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.0.kind {
            ErrorKind::Configuration => "bad configuration",
            ErrorKind::Unavailable => "the server is unavailable",
            ErrorKind::Timeout => "no answer within the time-out",
            ErrorKind::Refused => "the server refused",
            ErrorKind::Protocol => "the server's answer makes no sense",
            ErrorKind::Encode => "the value could not be encoded",
            ErrorKind::Decode => "the value could not be decoded",
            ErrorKind::Pattern => "bad pattern",
        };
        write!(f, "{}: {what}", self.0.operation)?;
        for (name, value) in &self.0.context {
            write!(f, "; {name}: {value}")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, "; cause: {source}")?;
        }
        if let Some(remedy) = self.0.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("context", &self.0.context)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
