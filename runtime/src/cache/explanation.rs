//! What `explain()` tells: where the answer of a call would come from, and why. For people, dashboards and tests.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::codec::envelope::WriterId;
use crate::connection::{BreakerState, EndpointStatus};

/// Where the answer of a call would come from if it were awaited now, and what that is concluded from. Its text has several
/// lines; values, passwords and tokens are not in it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The function's path.
    pub function: &'static str,
    /// The entry's full key.
    pub key: String,
    /// When this was found out.
    pub asked_at: SystemTime,
    /// Where the answer would come from.
    pub source: Source,
    /// What is in the slot.
    pub slot: SlotState,
    /// What is left of the life of whatever is in the slot; of an entry, with the time for which `stale_if_error` keeps it
    /// beyond its end.
    pub remaining: Option<Duration>,
    /// The entry, if the slot holds one that can be read.
    pub entry: Option<EntryFacts>,
    /// How it stands with the renewal of the entry (`refresh_after`, `stale_if_error`), if somebody is at it or has failed a
    /// moment ago.
    pub renewal: Option<RenewalState>,
    /// What the entry depends on, or would.
    pub stamps: Vec<StampFacts>,
    /// The servers.
    pub store: StoreFacts,
}

/// Where an answer comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// The value that is kept in the memory of this process.
    Memory,
    /// The stored value.
    Entry,
    /// The stored value, which is old enough for `refresh_after`: it is renewed behind the call, unless
    /// [`Explanation::renewal`] says that somebody is at it or how long nobody tries. A call may do so somewhat earlier, by
    /// chance.
    Due,
    /// The stored value past its end, and the body is not run: renewing it failed a moment ago (`stale_if_error`).
    Stale,
    /// The load of somebody else, who is waited for. An entry past its end answers if that fails.
    OtherLoad {
        /// Whether that load runs in this process.
        in_this_process: bool,
    },
    /// The body; its result is stored.
    Load {
        /// Why there is nothing to answer with.
        because: Miss,
    },
    /// The body, whose result is not stored: a write is under way, or has just been.
    Held,
    /// The body, without the cache.
    Body {
        /// Why the cache is not asked, or cannot be.
        because: String,
    },
    /// Not known yet: the server must be told invalidations first that it has not heard of. If it cannot be, the body
    /// answers.
    Invalidations,
}

/// Why an entry does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Miss {
    /// There is none.
    Absent,
    /// The call is to be [refreshed](crate::CachedCall::refresh).
    Refresh,
    /// Something it depends on was invalidated: see [`Explanation::stamps`].
    Invalidated,
    /// It is past its end, and kept to answer if the body fails or takes too long (`stale_if_error`).
    Ended,
    /// It was written by a build with another type, codec or version.
    OtherShape,
    /// Its bytes cannot be read.
    Undecodable(String),
    /// The slot holds something that this library has not written.
    Foreign,
    /// A writer with `#[cache_put]` is at work over an empty slot.
    PutUnderWay,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SlotState {
    /// It could not be read.
    Unknown,
    /// Nothing.
    Absent,
    /// An entry.
    Value,
    /// The lease of a load.
    Lease,
    /// A hold: load, but do not store.
    Hold,
    /// The mark of a writer that is going to put its value.
    Mark,
    /// Bytes of nobody we know.
    Foreign,
}

/// What an entry says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EntryFacts {
    /// When it was written, by the clock of its writer.
    pub written_at: SystemTime,
    /// Which process wrote it, where the entry tells.
    pub written_by: Option<WriterId>,
    /// Until when it needs no refresh, by that clock.
    pub fresh_until: SystemTime,
    /// When it ends, by that clock.
    pub expires_at: SystemTime,
    /// How long the body took; nothing for a value that was put.
    pub load_time: Duration,
    /// Whether it is a cached absence.
    pub is_absence: bool,
    /// The version of the format.
    pub format_version: u8,
    /// The number of the codec.
    pub codec: u8,
    /// Whether this call's codec and the shape of its type, under its `version`, are those of the entry.
    pub fingerprint_matches: bool,
    /// The length of the whole entry in bytes.
    pub envelope_bytes: usize,
    /// The length of the value in it, as it is stored.
    pub payload_bytes: usize,
    /// How the value is compressed.
    pub compression: Option<&'static str>,
    /// The length of the value before compression, if it can be decompressed.
    pub decompressed_bytes: Option<usize>,
}

/// How it stands with the renewal of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RenewalState {
    /// Somebody is at it. What another process does is not known where locks have masters of their own.
    UnderWay {
        /// Whether that is this process.
        in_this_process: bool,
    },
    /// It failed in this process, which pauses before it tries again: the longer the more often it has failed, and shortened
    /// at random.
    Paused {
        /// What is left of the pause.
        left: Duration,
    },
}

/// One thing that an entry depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StampFacts {
    /// The stamp's full key.
    pub name: String,
    /// What it stands for.
    pub kind: StampKind,
    /// How it is.
    pub state: StampCondition,
}

/// What a stamp stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StampKind {
    /// All entries of the namespace.
    Everything,
    /// All entries of a function, or of all functions of one key template.
    Function,
    /// All entries with a tag.
    Tag,
    /// Another entry, from which this one was made.
    Entry,
    /// The servers that were there when the entry was written.
    Servers,
}

/// How a stamp is, compared with what the entry says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StampCondition {
    /// As the entry has it; without an entry: it is there.
    Current,
    /// It was invalidated, and made anew since.
    Changed,
    /// It was invalidated, or the server has evicted it; without an entry: the next load makes it.
    Missing,
    /// A write is under way, so nothing made under it is stored.
    Held,
    /// The function depends on it, and the entry does not name it: it was written by another build.
    NotNamed,
}

/// The store at that moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StoreFacts {
    /// `embedded`, `single`, `replicas`, `sentinel`, `cluster`, `rest`, or `none` for a configuration that is bad.
    pub topology: &'static str,
    /// Whether the server of this key is down, and what was found is from this process's memory.
    pub is_refuge: bool,
    /// Invalidations that this process has not been able to send; nothing is read before them.
    pub pending_invalidations: usize,
    /// The known servers with their breakers.
    pub servers: Vec<EndpointStatus>,
}

impl StampCondition {
    /// Whether it keeps the entry from being used.
    #[must_use]
    pub const fn is_in_the_way(self) -> bool {
        !matches!(self, Self::Current)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {}", self.key, self.function)?;
        writeln!(f, "  answer    {}", self.source)?;
        write!(f, "  slot      {}", self.slot)?;
        if let Some(remaining) = self.remaining {
            write!(f, ", {} left", Short(remaining))?;
        }
        writeln!(f)?;
        if let Some(entry) = &self.entry {
            entry.describe(f, self.asked_at)?;
        }
        if let Some(renewal) = self.renewal {
            writeln!(f, "  renewal   {renewal}")?;
        }
        for stamp in &self.stamps {
            writeln!(f, "  stamp     {} {}: {}", stamp.kind, stamp.name, stamp.state)?;
        }
        write!(f, "  store     {}", self.store)
    }
}

impl EntryFacts {
    fn describe(&self, f: &mut fmt::Formatter<'_>, now: SystemTime) -> fmt::Result {
        write!(f, "  written   {}", humantime::format_rfc3339_millis(self.written_at))?;
        match now.duration_since(self.written_at) {
            Ok(ago) => write!(f, ", {} ago", Short(ago))?,
            Err(ahead) => write!(f, ", {} ahead of this clock", Short(ahead.duration()))?,
        }
        match self.written_by {
            Some(writer) if writer == WriterId::current() => writeln!(f, ", by this process")?,
            Some(writer) if writer.is_on_this_host() => {
                writeln!(f, ", by process {} of this host", writer.process())?;
            }
            Some(writer) => writeln!(f, ", by {writer}")?,
            None => writeln!(f)?,
        }
        writeln!(f, "  expires   {}", humantime::format_rfc3339_millis(self.expires_at))?;
        if self.fresh_until != self.expires_at {
            writeln!(f, "  fresh     until {}", humantime::format_rfc3339_millis(self.fresh_until))?;
        }
        writeln!(f, "  loaded in {:?}", self.load_time)?;
        let shape = if self.fingerprint_matches { "the shape of this build" } else { "another shape" };
        writeln!(f, "  format    version {}, codec {}, {shape}", self.format_version, self.codec)?;
        write!(f, "  size      {} bytes, ", self.envelope_bytes)?;
        match (self.is_absence, self.compression) {
            (true, _) => writeln!(f, "of an absence"),
            (false, None) => writeln!(f, "{} of them the value", self.payload_bytes),
            (false, Some(format)) => {
                write!(f, "{} of them the value by {format}", self.payload_bytes)?;
                match self.decompressed_bytes {
                    Some(bytes) => writeln!(f, ", {bytes} without"),
                    None => writeln!(f, ", which cannot be read"),
                }
            }
        }
    }
}

impl fmt::Display for StoreFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.topology)?;
        for server in &self.servers {
            let breaker = match server.breaker.state {
                BreakerState::Closed => "closed",
                BreakerState::Open => "open",
                BreakerState::HalfOpen => "half open",
            };
            write!(f, ", {} with its breaker {breaker}", server.address)?;
        }
        if self.is_refuge {
            f.write_str("; down, so this process's memory answers")?;
        }
        if self.pending_invalidations > 0 {
            write!(f, "; {} invalidations wait to be sent", self.pending_invalidations)?;
        }
        Ok(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("the memory of this process"),
            Self::Entry => f.write_str("the stored value"),
            Self::Due => f.write_str("the stored value, due to be renewed behind the call"),
            Self::Stale => f.write_str("the stored value past its end: renewing it failed a moment ago"),
            Self::OtherLoad { in_this_process: true } => {
                f.write_str("the load of another caller in this process")
            }
            Self::OtherLoad { in_this_process: false } => f.write_str("the load of another process"),
            Self::Load { because } => write!(f, "the body, to be stored: {because}"),
            Self::Held => f.write_str("the body, not to be stored: a write is under way"),
            Self::Body { because } => write!(f, "the body, without the cache: {because}"),
            Self::Invalidations => {
                f.write_str("not known before the server has been told what was invalidated")
            }
        }
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "there is no entry",
            Self::Refresh => "it is to be refreshed",
            Self::Invalidated => "the entry was invalidated",
            Self::Ended => "the entry is past its end, and answers only if the body fails",
            Self::OtherShape => "the entry has another shape, codec or version",
            Self::Undecodable(reason) => return write!(f, "the entry cannot be read: {reason}"),
            Self::Foreign => "the slot holds something else",
            Self::PutUnderWay => "a writer is about to put its value",
        })
    }
}

impl fmt::Display for SlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Absent => "empty",
            Self::Value => "an entry",
            Self::Lease => "the lease of a load",
            Self::Hold => "a hold",
            Self::Mark => "the mark of a writer",
            Self::Foreign => "foreign bytes",
        })
    }
}

impl fmt::Display for RenewalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnderWay { in_this_process: true } => f.write_str("under way in this process"),
            Self::UnderWay { in_this_process: false } => f.write_str("under way in another process"),
            Self::Paused { left } => write!(f, "failed, tried again after {}", Short(*left)),
        }
    }
}

impl fmt::Display for StampKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everything => "everything",
            Self::Function => "function",
            Self::Tag => "tag",
            Self::Entry => "entry",
            Self::Servers => "servers",
        })
    }
}

impl fmt::Display for StampCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "current",
            Self::Changed => "changed since",
            Self::Missing => "missing",
            Self::Held => "held by a write",
            Self::NotNamed => "not named by the entry",
        })
    }
}

/// A length of time without the digits that nobody reads.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        humantime::format_duration(Duration::from_millis(millis)).fmt(f)
    }
}
