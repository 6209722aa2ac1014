//! Stamps: read, or made where they are missing, and kept alive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{Pipeline, Value};
use smallvec::SmallVec;

use super::answer::{bulk, wire};
use super::{millis, spread};
use crate::connection::{Connection, Repeat, Request, Route, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::script::Scripts;
use crate::store::StampStates;
use crate::store::slot::{StampState, new_stamp};

/// Reads and makes stamps. Knows whether the server has to be asked by a script: before 7.0 there is no `SET .. NX GET`.
/// That is found out by use, and the script works everywhere.
#[derive(Debug, Default)]
pub(super) struct Captures {
    by_script: AtomicBool,
}

impl Captures {
    pub(super) fn are_by_script(&self) -> bool {
        self.by_script.load(Ordering::Relaxed)
    }

    /// The states of the stamps, in their order.
    pub(super) async fn capture(
        &self,
        connection: &Connection,
        scripts: &Scripts,
        stamps: &[&Key],
        life: Duration,
    ) -> Result<StampStates> {
        if stamps.is_empty() {
            return Ok(StampStates::new());
        }
        let groups = spread::groups(connection, stamps);
        let captures = groups.iter().map(|group| self.group(connection, scripts, &group.keys, life));
        let states = try_join_all(captures).await?;
        Ok(spread::in_order(&groups, states).into_iter().collect())
    }

    async fn group(
        &self,
        connection: &Connection,
        scripts: &Scripts,
        stamps: &[&Key],
        life: Duration,
    ) -> Result<Vec<StampState>> {
        if !self.are_by_script() {
            let mut pipeline = Pipeline::with_capacity(2 * stamps.len());
            let fresh = add(&mut pipeline, connection, stamps, life);
            let answers = send(connection, stamps[0], &pipeline).await?;
            if let Some(states) = self.captured(connection, answers, &fresh)? {
                return Ok(states);
            }
        }
        let mut pipeline = Pipeline::with_capacity(stamps.len());
        let life = millis(life).to_string();
        for stamp in stamps {
            let new = new_stamp();
            pipeline.add_command(
                scripts.capture.by_source(&[stamp], &[&wire(connection, &new), life.as_bytes()]),
            );
        }
        let answers = send(connection, stamps[0], &pipeline).await?;
        answers.into_iter().map(|answer| state(connection, answer, None)).collect()
    }

    /// What a pipeline of [`add`] answered; `None` if the server does not know the commands.
    pub(super) fn captured(
        &self,
        connection: &Connection,
        answers: Vec<Value>,
        fresh: &[[u8; 9]],
    ) -> Result<Option<Vec<StampState>>> {
        if answers.iter().any(is_unknown) {
            self.by_script.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        let reads = answers.into_iter().step_by(2).zip(fresh);
        reads.map(|(answer, new)| state(connection, answer, Some(new))).collect::<Result<_>>().map(Some)
    }
}

const OPERATION: &str = "capture stamps";

/// For each stamp: makes it where it is missing and reads it, then pushes its life forward. `GT` never shortens a life.
pub(super) fn add(
    pipeline: &mut Pipeline,
    connection: &Connection,
    stamps: &[&Key],
    life: Duration,
) -> SmallVec<[[u8; 9]; 4]> {
    let life = millis(life);
    let mut fresh = SmallVec::with_capacity(stamps.len());
    for stamp in stamps {
        let new = new_stamp();
        let set = pipeline.cmd("SET").arg(stamp.as_bytes()).arg(&*wire(connection, &new));
        set.arg("NX").arg("GET").arg("PX").arg(life);
        pipeline.cmd("PEXPIRE").arg(stamp.as_bytes()).arg(life).arg("GT");
        fresh.push(new);
    }
    fresh
}

async fn send(connection: &Connection, key: &Key, pipeline: &Pipeline) -> Result<Vec<Value>> {
    let route = Route::to(key, Server::Familiar, Repeat::Safe);
    match connection.send(OPERATION, route, Request::all(pipeline)).await? {
        Value::Array(answers) => Ok(answers),
        other => Err(super::answer::unexpected(OPERATION, &other)),
    }
}

/// The stamp that is there, or the one that was made because nothing was.
fn state(connection: &Connection, answer: Value, made: Option<&[u8; 9]>) -> Result<StampState> {
    let answer =
        answer.extract_error().map_err(|error| Error::new(ErrorKind::Refused, OPERATION).because(error))?;
    let there = bulk(connection, OPERATION, answer)?;
    let bytes = there.as_deref().or(made.map(<[u8; 9]>::as_slice));
    StampState::of(bytes).ok_or_else(|| {
        Error::new(ErrorKind::Protocol, OPERATION)
            .remedy("a stamp's key holds something else: is the namespace shared?")
    })
}

/// A server that does not know an option answers that the syntax or the number of arguments is wrong.
fn is_unknown(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "ERR")
}
