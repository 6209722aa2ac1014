//! Invalidation by pattern: a scan of each primary, in small steps, and what a step finds is removed while the next one is
//! under way.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{Pipeline, Value};

use super::answer::unexpected;
use super::{RedisStore, Unreplicated};
use crate::connection::{Node, Repeat, Request, Route, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::invalidation::Report;
use crate::key::{FullPattern, Key, entry_of, stamp_of};
use crate::store::Store;

/// How many keys one step looks at: less than half a millisecond of the server's time. Fewer would cost more in all.
const KEYS_OF_A_STEP: usize = 700;
/// How many entries are removed by one command: about a fifth of a millisecond.
const ENTRIES_OF_A_COMMAND: usize = 128;
/// Steps whose finds are being removed while the next one is under way.
const STEPS_AT_ONCE: usize = 4;

/// What a step of a scan came to.
struct Step {
    /// Where the next one begins; `0` if this was the last.
    cursor: Vec<u8>,
    keys: Vec<Vec<u8>>,
}

pub(super) async fn sweep(store: &RedisStore, pattern: &FullPattern, report: &Report<'_>) -> Result<u64> {
    // Also if nothing is found: another process may just have removed it.
    let _unreplicated = Unreplicated::over(&store.connection);
    let nodes = store.connection.primaries("scan").await?;
    if report.is_wanted() {
        let sizes = try_join_all(nodes.iter().map(size)).await?;
        report.begin(sizes.iter().sum());
    }
    // One after the other: all of them at once would be as many times the load for this process and its connections.
    let mut found = 0;
    for node in &nodes {
        found += sweep_node(store, node, pattern, report).await?;
    }
    Ok(found)
}

async fn sweep_node(
    store: &RedisStore,
    node: &Node,
    pattern: &FullPattern,
    report: &Report<'_>,
) -> Result<u64> {
    // Stamps of entries have the entry's key in braces, so the text stands somewhere within the key.
    let mut glob = vec![b'*'];
    glob.extend_from_slice(pattern.literal_prefix());
    glob.push(b'*');
    let (mut found, mut removing) = (0, FuturesUnordered::new());
    let mut done = |entries| {
        report.step(KEYS_OF_A_STEP as u64, entries);
        found += entries;
    };
    // Each step begins where the last one ended, so they go one by one; what they find is removed beside them.
    let mut next = Some(b"0".to_vec());
    while let Some(cursor) = next {
        let mut looking = std::pin::pin!(look(node, &cursor, &glob));
        let step = loop {
            tokio::select! {
                biased;
                step = &mut looking => break step?,
                Some(removed) = removing.next() => done(removed?),
            }
        };
        if removing.len() == STEPS_AT_ONCE
            && let Some(removed) = removing.next().await
        {
            done(removed?);
        }
        next = (step.cursor != b"0").then_some(step.cursor);
        removing.push(remove(store, pattern, step.keys));
    }
    while let Some(removed) = removing.next().await {
        done(removed?);
    }
    Ok(found)
}

async fn look(node: &Node, cursor: &[u8], glob: &[u8]) -> Result<Step> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(glob).arg("COUNT").arg(KEYS_OF_A_STEP);
    let answer = node.command("scan", &scan).await?;
    let (cursor, keys) = redis::from_redis_value(answer)
        .map_err(|error| Error::new(ErrorKind::Protocol, "scan").because(error))?;
    Ok(Step { cursor, keys })
}

/// Removes the entries among these keys that match.
async fn remove(store: &RedisStore, pattern: &FullPattern, keys: Vec<Vec<u8>>) -> Result<u64> {
    // The next step's command goes out before this process goes through what the last one has found, so that the server is
    // never without work. Twice, because what drives a connection gives way once, too.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let entries: HashSet<&[u8]> =
        keys.iter().map(|key| entry_of(key)).filter(|entry| pattern.matches(entry)).collect();
    let entries: Vec<Key> = entries.into_iter().map(|entry| Key(entry.into())).collect();
    let removed = entries.chunks(ENTRIES_OF_A_COMMAND).map(|entries| remove_with_stamps(store, entries));
    try_join_all(removed).await?;
    Ok(entries.len() as u64)
}

/// Removes these entries and their stamps. A stamp that the scan has not found may have been made since it began, and
/// something may have been made from the old entry under it: so it goes with its entry, which goes first.
async fn remove_with_stamps(store: &RedisStore, entries: &[Key]) -> Result<()> {
    let stamps: Vec<Key> = entries.iter().map(stamp_of).collect();
    let (first, rest) = (entries.iter().collect::<Vec<_>>(), stamps.iter().collect::<Vec<_>>());
    if store.connection.is_cluster() {
        return store.invalidate(&[first, rest].concat()).await;
    }
    // Hardly any of the stamps is there. To ask for them costs far less than to have a script go through them.
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.add_command(store.scripts.invalidate.by_hash(&first, &[]));
    pipeline.cmd("EXISTS").arg(rest.iter().map(|stamp| stamp.as_bytes()).collect::<Vec<_>>());
    let route = Route::to(first[0], Server::Any, Repeat::Safe);
    let answer = {
        let _changed = store.changes(&first);
        store.connection.send("invalidate", route, Request::Apart(&pipeline)).await?
    };
    let Value::Array(answers) = answer else { return Err(unexpected("invalidate", &answer)) };
    match answers[..] {
        [Value::Int(1), Value::Int(0)] => Ok(()),
        [Value::Int(1), Value::Int(_)] => store.invalidate(&rest).await,
        // The script is not known, or something is wrong that this tells.
        _ => store.invalidate(&[first, rest].concat()).await,
    }
}

/// How many keys a server has.
async fn size(node: &Node) -> Result<u64> {
    match node.command("count keys", &redis::cmd("DBSIZE")).await? {
        Value::Int(keys) => Ok(u64::try_from(keys).unwrap_or(0)),
        other => Err(unexpected("count keys", &other)),
    }
}
