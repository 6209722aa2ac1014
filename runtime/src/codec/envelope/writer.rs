//! Who wrote an entry: told to whoever asks why an entry is what it is. Nothing is decided by it.

use std::fmt;
use std::sync::OnceLock;

use serde::Serialize;
use twox_hash::XxHash3_64;

/// The process that wrote an entry, as its envelope says: a hash of the host's name, and the process's number there.
///
/// Log [`current`](Self::current) when a service starts, to find out later which of its processes wrote an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct WriterId {
    host: u32,
    process: u32,
}

impl WriterId {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        static CURRENT: OnceLock<WriterId> = OnceLock::new();
        *CURRENT.get_or_init(|| Self { host: hash(&host_name()), process: std::process::id() })
    }

    /// The process's number on its host.
    #[must_use]
    pub const fn process(self) -> u32 {
        self.process
    }

    /// Whether it runs, or ran, on this host.
    #[must_use]
    pub fn is_on_this_host(self) -> bool {
        self.host == Self::current().host
    }

    /// The same process as [`to_bytes`](Self::to_bytes) was asked of.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [a, b, c, d, host @ ..] = bytes;
        Self { host: u32::from_le_bytes(host), process: u32::from_le_bytes([a, b, c, d]) }
    }

    /// The bytes in an envelope.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        ((u64::from(self.host) << 32) | u64::from(self.process)).to_le_bytes()
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on host {:08x}", self.process, self.host)
    }
}

/// As well as it can be known without asking the system's library: a host that does not tell is one without a name.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .unwrap_or_default()
}

fn hash(name: &str) -> u32 {
    (XxHash3_64::oneshot(name.trim().as_bytes()) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::WriterId;

    #[test]
    fn bytes_and_text() {
        let writer = WriterId::from_bytes([1, 2, 0, 0, 0xef, 0xbe, 0xad, 0xde]);
        assert_eq!(writer.to_string(), "process 513 on host deadbeef");
        assert_eq!(WriterId::from_bytes(writer.to_bytes()), writer);
        let current = WriterId::current();
        assert_eq!(current.process(), std::process::id());
        assert!(current.is_on_this_host());
    }
}
