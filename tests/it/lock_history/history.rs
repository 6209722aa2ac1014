//! What was asked of one lock and what came of it, and the way to write that down by hand.

/// Everything that was asked of one lock with fencing tokens. Times are of one monotonic clock, in any unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(pub(crate) Vec<Operation>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    /// One acquisition: a name of its own for each.
    pub(crate) holder: String,
    pub(crate) invoked: u64,
    /// Never before `invoked`; for what has not answered, when it was given up.
    pub(crate) returned: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Acquire(Acquired),
    /// The holder looked, at `invoked`, and could rely on the lock.
    Rely,
    Extend(Answer),
    Release(Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    Token(u64),
    Refused,
    /// Nobody knows whether it was granted; the client does not go on.
    Unknown,
}

/// Whether the lock was still the holder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    Unknown,
}

impl History {
    /// Reads operations with semicolons between them: `A get 0-1 #7` (or `no`, `?`), `A rely 3`, `A extend 3-4 yes` (or `no`,
    /// `?`), `A release 5-6 yes` (or `no`, `?`).
    pub(crate) fn parse(text: &str) -> Self {
        let operation = |text: &str| operation(text).unwrap_or_else(|| panic!("no operation: {text}"));
        Self(text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(operation).collect())
    }
}

fn operation(text: &str) -> Option<Operation> {
    let mut words = text.split_whitespace();
    let (holder, verb, time) = (words.next()?, words.next()?, words.next()?);
    let (invoked, returned) = time.split_once('-').unwrap_or((time, time));
    let outcome = words.next().unwrap_or_default();
    let answer = match outcome {
        "yes" => Some(Answer::Yes),
        "no" => Some(Answer::No),
        "?" => Some(Answer::Unknown),
        _ => None,
    };
    let what = match verb {
        "get" => What::Acquire(match outcome.strip_prefix('#') {
            Some(token) => Acquired::Token(token.parse().ok()?),
            None if outcome == "no" => Acquired::Refused,
            None => Acquired::Unknown,
        }),
        "rely" => What::Rely,
        "extend" => What::Extend(answer?),
        "release" => What::Release(answer?),
        _ => return None,
    };
    let (invoked, returned) = (invoked.parse().ok()?, returned.parse().ok()?);
    Some(Operation { holder: holder.to_owned(), invoked, returned, what })
}
