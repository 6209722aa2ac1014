//! The kinds of keys a namespace holds. `#` occurs in no template and in no argument, so kinds never meet.

use super::{Key, KeyBytes, KeyWriter, Namespace};

/// Builds every kind of key of one namespace.
#[derive(Debug)]
pub(crate) struct KeySpace {
    entry: Box<[u8]>,
    tag: Box<[u8]>,
    function: Box<[u8]>,
    template: Box<[u8]>,
    lock: Box<[u8]>,
    latch: Box<[u8]>,
    permits: Box<[u8]>,
    all: Key,
    servers: Key,
}

/// Marks the stamp of an entry, behind the entry's own key.
const ENTRY_STAMP: &[u8] = b"}#stamp";

/// Marks the claim of whoever renews an entry.
const ENTRY_REFRESH: &[u8] = b"}#refresh";

const SERVERS: &[u8] = b"#servers";

impl KeySpace {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let prefix = |suffix: &str| format!("{}{suffix}", namespace.as_str()).into_bytes().into_boxed_slice();
        Self {
            entry: prefix(":"),
            tag: prefix("#tag:"),
            function: prefix("#function:"),
            template: prefix("#template:"),
            lock: prefix("#lock:"),
            latch: prefix("#latch:"),
            permits: prefix("#permits:"),
            all: Key(KeyBytes::from_slice(&prefix("#all"))),
            servers: Key([namespace.as_str().as_bytes(), SERVERS].concat().into()),
        }
    }

    /// `{namespace}:{rendered}`: the slot of an entry.
    #[inline]
    pub(crate) fn entry(&self, write: impl FnOnce(&mut KeyWriter)) -> Key {
        render(&self.entry, write)
    }

    /// `{namespace}#tag:{rendered}`: the stamp of a tag.
    pub(crate) fn tag(&self, write: impl FnOnce(&mut KeyWriter)) -> Key {
        render(&self.tag, write)
    }

    /// `{namespace}#function:{name}`: the stamp of all entries of a function.
    pub(crate) fn function(&self, name: &str) -> Key {
        render(&self.function, |writer| writer.path(name))
    }

    /// `{namespace}#template:{template}`: the stamp of all entries of a template.
    pub(crate) fn template(&self, template: &str) -> Key {
        render(&self.template, |writer| writer.path(template))
    }

    /// `{namespace}#lock:{rendered}`: a lock.
    pub(crate) fn lock(&self, write: impl FnOnce(&mut KeyWriter)) -> Key {
        render(&self.lock, write)
    }

    /// `{namespace}#latch:{rendered}`: a countdown latch.
    pub(crate) fn latch(&self, write: impl FnOnce(&mut KeyWriter)) -> Key {
        render(&self.latch, write)
    }

    /// `{namespace}#permits:{rendered}`: the holders of a semaphore.
    pub(crate) fn permits(&self, write: impl FnOnce(&mut KeyWriter)) -> Key {
        render(&self.permits, write)
    }

    /// `{namespace}#all`: the stamp of everything.
    pub(crate) fn all(&self) -> &Key {
        &self.all
    }

    /// `{namespace}#servers`: a stamp that is not stored anywhere: it is the identity of the servers that serve.
    pub(crate) fn servers(&self) -> &Key {
        &self.servers
    }

    /// What every entry's key begins with.
    pub(crate) fn entry_prefix(&self) -> &[u8] {
        &self.entry
    }
}

/// `{` entry `}#stamp`: what the entries made from this one depend on. The braces are meant: they put it into the entry's
/// slot of a cluster.
pub(crate) fn stamp_of(entry: &Key) -> Key {
    beside(entry, ENTRY_STAMP)
}

/// `{` entry `}#refresh`: who renews the entry while others read it. In the entry's slot of a cluster, as its stamp.
pub(crate) fn refresh_of(entry: &Key) -> Key {
    beside(entry, ENTRY_REFRESH)
}

/// `{` lock `}#queue`: who waits for the lock. In the lock's slot of a cluster.
pub(crate) fn queue_of(lock: &Key) -> Key {
    beside(lock, b"}#queue")
}

/// `{` lock `}#fence`: the counter of the lock's own tokens. In the lock's slot of a cluster.
pub(crate) fn counter_of(lock: &Key) -> Key {
    beside(lock, b"}#fence")
}

/// `{` lock `}#shared`: those who share a lock. In the lock's slot of a cluster.
pub(crate) fn shared_of(lock: &Key) -> Key {
    beside(lock, b"}#shared")
}

/// `{` lock `}#wanted`: whether somebody wants a lock alone that others share. In the lock's slot of a cluster.
pub(crate) fn wanted_of(lock: &Key) -> Key {
    beside(lock, b"}#wanted")
}

/// `{` lock `}#sharing`: those who wait to share a lock. In the lock's slot of a cluster.
pub(crate) fn sharing_of(lock: &Key) -> Key {
    beside(lock, b"}#sharing")
}

/// `{` semaphore `}#permit:` number: one permit of a semaphore over several masters, which is a lock of its own.
pub(crate) fn permit_of(semaphore: &Key, number: u32) -> Key {
    beside(semaphore, format!("}}#permit:{number}").as_bytes())
}

/// Whether the key is that of a permit of the semaphore.
pub(crate) fn is_permit_of(key: &Key, semaphore: &Key) -> bool {
    let rest = key.0.strip_prefix(b"{").and_then(|key| key.strip_prefix(semaphore.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"}#permit:"))
}

/// `{` latch `}#ids`: who has counted a latch down. In the latch's slot of a cluster.
pub(crate) fn ids_of(latch: &Key) -> Key {
    beside(latch, b"}#ids")
}

/// The entry that a key found on the server belongs to: itself, or the one whose stamp it is.
pub(crate) fn entry_of(key: &[u8]) -> &[u8] {
    key.strip_prefix(b"{").and_then(|key| key.strip_suffix(ENTRY_STAMP)).unwrap_or(key)
}

/// Whether the key is the one of the servers' identity.
pub(crate) fn is_servers(key: &Key) -> bool {
    key.0.ends_with(SERVERS)
}

fn beside(key: &Key, mark: &[u8]) -> Key {
    let mut bytes = KeyBytes::with_capacity(key.0.len() + 1 + mark.len());
    bytes.push(b'{');
    bytes.extend_from_slice(&key.0);
    bytes.extend_from_slice(mark);
    Key(bytes)
}

#[inline]
fn render(prefix: &[u8], write: impl FnOnce(&mut KeyWriter)) -> Key {
    let mut writer = KeyWriter::after(prefix);
    write(&mut writer);
    Key(writer.finish())
}
