//! Several slots in one go: in pipelines on one server; in a cluster as commands of their own, which gather on the
//! connection of each node and are redirected one by one.

use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, Pipeline, Value};

use super::answer::{accepted, guarded, unexpected, wire};
use super::{RedisStore, capture, millis};
use crate::connection::{Connection, Repeat, Request, Route, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::script::Lua;
use crate::store::{
    Claim, ClaimRequest, Guarded, Held, ManyClaimed, ManyClaims, Replacement, SlotClaim, StampStates, Store,
};

/// Commands of one pipeline at most, and bytes of values after which another one begins: so that none of them holds a server
/// or a connection up for others.
const MOST_COMMANDS: usize = 256;
const MOST_BYTES: usize = 1 << 20;

/// One run of a script that answers 1 or 0.
struct Run<'a> {
    key: &'a Key,
    args: Vec<std::borrow::Cow<'a, [u8]>>,
}

pub(super) async fn replace(store: &RedisStore, replacements: &[Replacement<'_>]) -> Vec<Result<Guarded>> {
    let connection = &store.connection;
    let runs = replacements.iter().map(|it| Run {
        key: it.slot,
        args: vec![wire(connection, it.expected), wire(connection, it.value), decimal(it.life)],
    });
    each(store, "fill", Repeat::Never, &store.scripts.replace, runs.collect()).await
}

pub(super) async fn extend(store: &RedisStore, held: &[Held<'_>], life: Duration) -> Vec<Result<Guarded>> {
    let runs = held
        .iter()
        .map(|it| Run { key: it.key, args: vec![wire(&store.connection, it.expected), decimal(life)] });
    each(store, "extend", Repeat::Safe, &store.scripts.extend, runs.collect()).await
}

pub(super) async fn release(store: &RedisStore, held: &[Held<'_>]) -> Vec<Result<Guarded>> {
    let runs = held.iter().map(|it| Run { key: it.key, args: vec![wire(&store.connection, it.expected)] });
    each(store, "release", Repeat::Never, &store.scripts.release, runs.collect()).await
}

/// The stamps and the first slots in one pipeline.
pub(super) async fn claim(store: &RedisStore, claims: ManyClaims<'_>) -> Result<ManyClaimed> {
    let connection = &store.connection;
    let together = !connection.is_cluster() && !connection.distrusts() && !store.captures.are_by_script();
    let mut first = Pipeline::new();
    let (fresh, captured) = if together {
        (capture::add(&mut first, connection, claims.stamps, claims.stamp_life), None)
    } else {
        (smallvec::SmallVec::new(), Some(store.capture(claims.stamps, claims.stamp_life).await?))
    };
    if connection.is_cluster() {
        let won = try_each(store, &claims).await?;
        return Ok(ManyClaimed { stamps: captured.unwrap_or_default(), won });
    }
    let mut won = Vec::with_capacity(claims.slots.len());
    let mut states = captured;
    for chunk in claims.slots.chunks(MOST_COMMANDS) {
        let stamps = first.len();
        for slot in chunk {
            first.add_command(claim_command(store, slot, claims.lease_life));
        }
        let pipeline = std::mem::take(&mut first);
        let route = Route::to(chunk[0].slot, Server::Familiar, Repeat::Never);
        let mut answers = match connection.send("claim", route, Request::Apart(&pipeline)).await? {
            Value::Array(answers) if answers.len() == pipeline.len() => answers,
            other => return Err(unexpected("claim", &other)),
        };
        let claimed = answers.split_off(stamps);
        if states.is_none() {
            states = Some(stamp_states(store, &claims, answers, &fresh).await?);
        }
        for (slot, answer) in chunk.iter().zip(claimed) {
            won.push(claim_outcome(store, slot, claims.lease_life, answer).await?);
        }
    }
    Ok(ManyClaimed { stamps: states.unwrap_or_default(), won })
}

/// What the pipeline says of the stamps. An older server has claimed, and did not capture: the stamps are still read before any
/// body runs.
async fn stamp_states(
    store: &RedisStore,
    claims: &ManyClaims<'_>,
    answers: Vec<Value>,
    fresh: &[[u8; 9]],
) -> Result<StampStates> {
    match store.captures.captured(&store.connection, answers, fresh)? {
        Some(states) => Ok(states.into_iter().collect()),
        None => store.capture(claims.stamps, claims.stamp_life).await,
    }
}

fn claim_command(store: &RedisStore, claim: &SlotClaim<'_>, life: Duration) -> Cmd {
    let lease = wire(&store.connection, claim.lease.as_bytes());
    match claim.over {
        None => {
            let mut set = redis::cmd("SET");
            set.arg(claim.slot.as_bytes()).arg(&*lease).arg("NX").arg("PX").arg(millis(life));
            set
        }
        Some(over) => {
            let args = [&*wire(&store.connection, over), &*lease, &*decimal(life)];
            store.scripts.replace.by_hash(&[claim.slot], &args)
        }
    }
}

async fn claim_outcome(
    store: &RedisStore,
    claim: &SlotClaim<'_>,
    life: Duration,
    answer: Value,
) -> Result<bool> {
    match answer.extract_error() {
        Ok(Value::Okay | Value::Int(1)) => Ok(true),
        Ok(Value::Nil | Value::Int(0)) => Ok(false),
        Ok(other) => Err(unexpected("claim", &other)),
        Err(error) if error.code() == Some("NOSCRIPT") => {
            let over = claim.over.unwrap_or_default();
            let claimed = store.replace(claim.slot, over, claim.lease.as_bytes(), life).await?;
            Ok(claimed == Guarded::Applied)
        }
        Err(error) => Err(Error::new(ErrorKind::Refused, "claim").because(error)),
    }
}

/// The claims of a cluster, the stamps captured already.
async fn try_each(store: &RedisStore, claims: &ManyClaims<'_>) -> Result<Vec<bool>> {
    let mut won = Vec::with_capacity(claims.slots.len());
    for chunk in claims.slots.chunks(MOST_COMMANDS) {
        let sent = chunk.iter().map(|&SlotClaim { slot, over, lease }| {
            store.claim(ClaimRequest {
                slot,
                over,
                lease,
                lease_life: claims.lease_life,
                stamps: &[],
                stamp_life: claims.stamp_life,
                beside: &[],
            })
        });
        for claim in join_all(sent).await {
            won.push(claim? != Claim::Lost);
        }
    }
    Ok(won)
}

async fn each(
    store: &RedisStore,
    operation: &'static str,
    repeat: Repeat,
    lua: &Lua,
    runs: Vec<Run<'_>>,
) -> Vec<Result<Guarded>> {
    let mut outcomes = Vec::with_capacity(runs.len());
    let mut rest = &runs[..];
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(chunk_of(rest));
        rest = behind;
        if chunk.len() == 1 || store.connection.is_cluster() {
            outcomes
                .extend(join_all(chunk.iter().map(|run| alone(store, operation, repeat, lua, run))).await);
        } else {
            outcomes.extend(pipelined(store, operation, repeat, lua, chunk).await);
        }
    }
    outcomes
}

/// How many of the runs travel in one pipeline.
fn chunk_of(runs: &[Run<'_>]) -> usize {
    let mut bytes = 0;
    let fitting = runs.iter().take(MOST_COMMANDS).take_while(|run| {
        let fits = bytes < MOST_BYTES;
        bytes += run.args.iter().map(|arg| arg.len()).sum::<usize>();
        fits
    });
    fitting.count()
}

async fn alone(
    store: &RedisStore,
    operation: &'static str,
    repeat: Repeat,
    lua: &Lua,
    run: &Run<'_>,
) -> Result<Guarded> {
    store.guarded(operation, repeat, lua, run.key, &args(run)).await
}

async fn pipelined(
    store: &RedisStore,
    operation: &'static str,
    repeat: Repeat,
    lua: &Lua,
    runs: &[Run<'_>],
) -> Vec<Result<Guarded>> {
    let by_hash = runs.iter().map(|run| lua.by_hash(&[run.key], &args(run)));
    let answers = match send(&store.connection, operation, repeat, runs, by_hash).await {
        Ok(answers) => answers,
        Err(error) => return runs.iter().map(|_| Err(error.clone())).collect(),
    };
    let mut outcomes = Vec::with_capacity(runs.len());
    for (run, answer) in runs.iter().zip(answers) {
        outcomes.push(match accepted(operation, answer).and_then(|answer| guarded(operation, &answer)) {
            // The first of them by its source makes the script known, so this happens once after a restart.
            Err(error) if error.has_code("NOSCRIPT") => alone(store, operation, repeat, lua, run).await,
            outcome => outcome,
        });
    }
    outcomes
}

async fn send(
    connection: &Connection,
    operation: &'static str,
    repeat: Repeat,
    runs: &[Run<'_>],
    commands: impl Iterator<Item = Cmd>,
) -> Result<Vec<Value>> {
    let mut pipeline = Pipeline::with_capacity(runs.len());
    for command in commands {
        pipeline.add_command(command);
    }
    let route = Route::to(runs[0].key, Server::Any, repeat);
    match connection.send(operation, route, Request::Apart(&pipeline)).await? {
        Value::Array(answers) if answers.len() == runs.len() => Ok(answers),
        other => Err(unexpected(operation, &other)),
    }
}

fn args<'a>(run: &'a Run<'_>) -> Vec<&'a [u8]> {
    run.args.iter().map(|arg| &**arg).collect()
}

fn decimal(life: Duration) -> std::borrow::Cow<'static, [u8]> {
    millis(life).to_string().into_bytes().into()
}
