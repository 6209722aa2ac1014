//! Keys that lie on several servers: grouped by slot, sent at the same time, put together in the order that was asked for.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use redis::{Cmd, Pipeline, Value};

use super::answer::{bulk, bulks, unexpected};
use crate::connection::{Connection, Repeat, Request, Route, Server, slot_of};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, entry_of};
use crate::store::Via;

/// Keys of one slot, and where each stands among those that were asked for.
pub(super) struct Group<'a> {
    pub(super) keys: Vec<&'a Key>,
    places: Vec<usize>,
}

/// One group for each slot, the keys within it in their order; a single group where all keys are on one server.
pub(super) fn groups<'a>(connection: &Connection, keys: &[&'a Key]) -> Vec<Group<'a>> {
    if !connection.is_cluster() {
        return vec![Group { keys: keys.to_vec(), places: (0..keys.len()).collect() }];
    }
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut by_slot: HashMap<u16, usize> = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        let index = *by_slot.entry(slot_of(key.as_bytes())).or_insert_with(|| {
            groups.push(Group { keys: Vec::new(), places: Vec::new() });
            groups.len() - 1
        });
        groups[index].keys.push(key);
        groups[index].places.push(place);
    }
    groups
}

/// Puts the answers of the groups back into the order of the keys.
pub(super) fn in_order<T>(groups: &[Group<'_>], answers: Vec<Vec<T>>) -> Vec<T> {
    let places = groups.iter().flat_map(|group| group.places.iter().copied());
    let mut all: Vec<(usize, T)> = places.zip(answers.into_iter().flatten()).collect();
    all.sort_unstable_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, answer)| answer).collect()
}

/// Reads the keys. Those of one slot, such as an entry and its stamp, are read in one step. `watched`: and has the servers tell
/// of changes. Also says over what the answer came; nothing if it was to be watched and is not.
pub(super) async fn read(
    connection: &Connection,
    server: Server,
    watched: bool,
    keys: &[&Key],
) -> Result<(Vec<Option<Bytes>>, Option<Via>)> {
    if !connection.is_cluster() {
        return read_group(connection, server, watched, keys).await;
    }
    let groups = groups(connection, keys);
    let reads = groups.iter().map(|group| read_group(connection, server, watched, &group.keys));
    let (answers, ways): (Vec<_>, Vec<_>) = try_join_all(reads).await?.into_iter().unzip();
    Ok((in_order(&groups, answers), of_several(&ways)))
}

/// Reads the keys as [`read`] does; the failure of one server does not touch the keys of others.
pub(super) async fn read_each(
    connection: &Connection,
    server: Server,
    watched: bool,
    keys: &[&Key],
) -> (Vec<Result<Option<Bytes>>>, Option<Via>) {
    if !connection.is_cluster() {
        return each(read_group(connection, server, watched, keys).await, keys.len());
    }
    let groups = groups(connection, keys);
    let reads = groups.iter().map(async |group| {
        each(read_group(connection, server, watched, &group.keys).await, group.keys.len())
    });
    let (answers, ways): (Vec<_>, Vec<_>) = join_all(reads).await.into_iter().unzip();
    (in_order(&groups, answers), of_several(&ways))
}

/// What can be said of several answers: they have no order, and changes are told of only if all are watched.
fn of_several(ways: &[Option<Via>]) -> Option<Via> {
    match ways {
        [only] => *only,
        ways => ways.iter().all(Option::is_some).then_some(Via::SEVERAL),
    }
}

/// The outcome for each of so many keys.
fn each<T>(outcome: Result<(Vec<T>, Option<Via>)>, keys: usize) -> (Vec<Result<T>>, Option<Via>) {
    match outcome {
        Ok((values, via)) => (values.into_iter().map(Ok).collect(), via),
        Err(error) => (std::iter::repeat_with(|| Err(error.clone())).take(keys).collect(), None),
    }
}

/// Whether some of a command's keys have moved to another node and some have not, as while their slot is on its way: that
/// may be so for hours, and each of them alone can be reached.
pub(super) fn are_apart(error: &Error, keys: &[&Key]) -> bool {
    keys.len() > 1 && error.has_code("TRYAGAIN")
}

async fn read_group(
    connection: &Connection,
    server: Server,
    watched: bool,
    keys: &[&Key],
) -> Result<(Vec<Option<Bytes>>, Option<Via>)> {
    let together = if watched {
        Box::pin(read_and_watch(connection, server, keys)).await
    } else {
        read_together(connection, server, keys).await
    };
    match together {
        Err(error) if are_apart(&error, keys) => {
            let mut values = vec![None; keys.len()];
            // An entry must be no older than its stamp.
            let is_stamp = |key: &Key| entry_of(key.as_bytes()) != key.as_bytes();
            for stamps in [true, false] {
                for (value, key) in values.iter_mut().zip(keys).filter(|(_, key)| is_stamp(key) == stamps) {
                    *value = read_together(connection, server, &[key]).await?.0.pop().flatten();
                }
            }
            Ok((values, None))
        }
        values => values,
    }
}

async fn read_together(
    connection: &Connection,
    server: Server,
    keys: &[&Key],
) -> Result<(Vec<Option<Bytes>>, Option<Via>)> {
    let Some(first) = keys.first() else { return Ok((Vec::new(), None)) };
    let route = Route::to(first, server, Repeat::Safe);
    if keys.len() == 1 {
        let mut get = redis::cmd("GET");
        get.arg(first.as_bytes());
        let (value, via) = connection.send_via("read", route, Request::Command(&get)).await?;
        return Ok((vec![bulk(connection, "read", value)?], via));
    }
    let (answer, via) = connection.send_via("read", route, Request::Command(&mget(keys))).await?;
    Ok((values_of(connection, answer, keys)?, via))
}

/// Reads keys of one server and has it tell of their changes. The opt-in holds for the next command of the connection, so both
/// travel in one pipeline.
pub(super) async fn read_and_watch(
    connection: &Connection,
    server: Server,
    keys: &[&Key],
) -> Result<(Vec<Option<Bytes>>, Option<Via>)> {
    let Some(first) = keys.first() else { return Ok((Vec::new(), None)) };
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
    pipeline.add_command(mget(keys));
    let route = Route::to(first, server, Repeat::Safe);
    let (answer, via) = connection.send_via("read and watch", route, Request::all(&pipeline)).await?;
    let Value::Array(answers) = answer else { return Err(unexpected("read and watch", &answer)) };
    let mut answers = answers.into_iter();
    // A server that cannot be asked for it serves all the same.
    let watched = answers.next() == Some(Value::Okay);
    let answer = answers.next().unwrap_or(Value::Nil).extract_error();
    let answer = answer.map_err(|error| Error::new(ErrorKind::Refused, "read and watch").because(error))?;
    Ok((values_of(connection, answer, keys)?, via.filter(|_| watched)))
}

fn values_of(connection: &Connection, answer: Value, keys: &[&Key]) -> Result<Vec<Option<Bytes>>> {
    match answer {
        Value::Array(values) if values.len() == keys.len() => bulks(connection, "read", values),
        other => Err(unexpected("read", &other)),
    }
}

fn mget(keys: &[&Key]) -> Cmd {
    let mut cmd = redis::cmd("MGET");
    for key in keys {
        cmd.arg(key.as_bytes());
    }
    cmd
}
