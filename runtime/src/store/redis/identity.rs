//! The stamp that stands for the servers themselves, where entries of other servers are not trusted. It is kept nowhere: it is
//! put among what was read, as it is after the reading, and a connection knows its server before anything is read over it.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::connection::Connection;
use crate::key::{Key, is_servers};
use crate::store::StampState;

/// The keys without that stamp, and where it stood.
pub(super) fn without<'a>(
    connection: &Connection,
    keys: &[&'a Key],
) -> (SmallVec<[&'a Key; 6]>, Option<usize>) {
    let place = connection.distrusts().then(|| keys.iter().position(|key| is_servers(key))).flatten();
    let others = keys.iter().enumerate().filter(|(index, _)| Some(*index) != place).map(|(_, key)| *key);
    (others.collect(), place)
}

/// As a key of its own would hold it; nothing while a server has not been met.
pub(super) fn bytes(connection: &Connection) -> Option<Bytes> {
    let identity = connection.identity()?;
    Some(Bytes::from([b"S".as_slice(), &identity].concat()))
}

/// Without it nothing is stored.
pub(super) fn state(connection: &Connection) -> StampState {
    connection.identity().map_or(StampState::Held, StampState::Current)
}
