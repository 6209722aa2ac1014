//! The protocol on Redis servers.

mod answer;
mod capture;
mod identity;
mod many;
mod merge;
mod put;
mod spread;
mod sweep;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{Pipeline, Value};

use super::{
    Claim, ClaimRequest, Freshness, Guarded, Held, ManyClaimed, ManyClaims, Overlap, Reading, Replacement,
    StampStates, Store, Values, Wake, Wakeups,
};
use crate::connection::{Connection, Repeat, Request, Route, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::invalidation::Report;
use crate::key::{FullPattern, Key};
use crate::local::Local;
use crate::script::{Lua, Scripts};

use answer::{guarded, unexpected, wire};
use capture::Captures;
pub(crate) use merge::{Glance, Seen};

use merge::Merger;
use writes::Writes;

/// See the module.
#[derive(Debug)]
pub(crate) struct RedisStore {
    connection: Connection,
    reads: Merger,
    writes: Writes,
    captures: Captures,
    scripts: Arc<Scripts>,
}

impl RedisStore {
    pub(crate) fn new(connection: Connection) -> Self {
        let (reads, writes) = (Merger::new(connection.clone()), Writes::new(&connection));
        Self { reads, writes, connection, captures: Captures::default(), scripts: Arc::new(Scripts::new()) }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Reads one slot together with whatever others read.
    pub(super) fn glance(&self, slot: &Key, freshness: Freshness) -> Option<Glance> {
        (!self.connection.distrusts()).then(|| self.reads.glance(slot, freshness)).flatten()
    }

    /// From now on, readers may wait for that long.
    pub(super) fn bear(&self, limit: Duration) {
        self.reads.bear(limit);
    }

    /// Claims a slot that is empty: in one command where no stamp is asked for, else in one pipeline.
    async fn claim_empty(&self, claim: ClaimRequest<'_>) -> Result<Claim> {
        let connection = &self.connection;
        let mut set = redis::cmd("SET");
        set.arg(claim.slot.as_bytes()).arg(&*wire(connection, claim.lease.as_bytes()));
        set.arg("NX").arg("PX").arg(millis(claim.lease_life));
        let route = Route::to(claim.slot, Server::Familiar, Repeat::Never);
        let together = !connection.is_cluster() && !connection.distrusts() && !self.captures.are_by_script();
        if claim.stamps.is_empty() || !together {
            let states = self.capture(claim.stamps, claim.stamp_life).await?;
            let won = self.writes.claim(set, route).await? == Value::Okay;
            return Ok(if won { Claim::Won(states) } else { Claim::Lost });
        }
        let mut pipeline = Pipeline::with_capacity(2 * claim.stamps.len() + 1);
        let fresh = capture::add(&mut pipeline, connection, claim.stamps, claim.stamp_life);
        pipeline.add_command(set);
        let mut answers = match connection.send("claim", route, Request::all(&pipeline)).await? {
            Value::Array(answers) => answers,
            other => return Err(unexpected("claim", &other)),
        };
        let won = answers.pop().unwrap_or(Value::Nil).extract_error();
        let won = won.map_err(|error| Error::new(ErrorKind::Refused, "claim").because(error))? == Value::Okay;
        let states = self.captures.captured(connection, answers, &fresh)?;
        if !won {
            return Ok(Claim::Lost);
        }
        // An older server has claimed, and did not capture. The stamps are still read before any body runs.
        Ok(Claim::Won(match states {
            Some(states) => states.into_iter().collect(),
            None => self.capture(claim.stamps, claim.stamp_life).await?,
        }))
    }

    async fn script(
        &self,
        operation: &'static str,
        repeat: Repeat,
        lua: &Lua,
        keys: &[&Key],
        args: &[&[u8]],
    ) -> Result<Value> {
        lua.run(&self.connection, operation, repeat, keys, args).await
    }

    /// A script that does the same to every key: one answer, or one for each key while they are on different nodes.
    async fn each_script(
        &self,
        operation: &'static str,
        lua: &Lua,
        keys: &[&Key],
        args: &[&[u8]],
    ) -> Result<Vec<Value>> {
        match self.script(operation, Repeat::Safe, lua, keys, args).await {
            Err(error) if spread::are_apart(&error, keys) => {
                let mut answers = Vec::with_capacity(keys.len());
                for key in keys {
                    answers.push(self.script(operation, Repeat::Safe, lua, &[*key], args).await?);
                }
                Ok(answers)
            }
            answer => Ok(vec![answer?]),
        }
    }

    /// A script that changes one key on a condition.
    async fn guarded(
        &self,
        operation: &'static str,
        repeat: Repeat,
        lua: &Lua,
        key: &Key,
        args: &[&[u8]],
    ) -> Result<Guarded> {
        guarded(operation, &self.script(operation, repeat, lua, &[key], args).await?)
    }
}

/// Keys that this process is about to change.
struct Changes<'a> {
    wakeups: &'a Wakeups,
    keys: &'a [&'a Key],
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        for key in self.keys {
            self.wakeups.changed(key.as_bytes());
        }
    }
}

/// A change that replicas may lack: from before it is sent, and for a while after its answer, however late that came.
struct Unreplicated<'a>(&'a Connection);

impl<'a> Unreplicated<'a> {
    fn over(connection: &'a Connection) -> Self {
        connection.changed();
        Self(connection)
    }
}

impl Drop for Unreplicated<'_> {
    fn drop(&mut self) {
        self.0.changed();
    }
}

impl RedisStore {
    /// Drops what this process has at hand of the keys when the change has been answered, has failed, or is given up: the
    /// server's own news may come later than the answer, over another connection.
    fn changes<'a>(&'a self, keys: &'a [&'a Key]) -> Changes<'a> {
        Changes { wakeups: self.connection.wakeups(), keys }
    }
}

impl Store for RedisStore {
    async fn read(&self, keys: &[&Key], freshness: Freshness) -> Result<Reading> {
        if freshness == Freshness::Watched && !self.connection.is_tracking() {
            // Before the first connection, and where the server cannot.
            let reading = self.reads.read(keys, Freshness::Current).await?;
            return Ok(Reading { via: None, ..reading });
        }
        if !self.connection.distrusts() {
            return self.reads.read(keys, freshness).await;
        }
        let (keys, place) = identity::without(&self.connection, keys);
        let mut reading = self.reads.read(&keys, freshness).await?;
        if let Some(place) = place {
            reading.values.insert(place, identity::bytes(&self.connection));
        }
        // The servers' own stamp changes without anybody telling.
        Ok(Reading { via: None, ..reading })
    }

    async fn read_watched(&self, keys: &[&Key], _wake: &Wake) -> Result<Values> {
        let (watched, others) = keys.split_first().expect("a slot is read");
        let watchable = self.connection.is_tracking() && !self.connection.distrusts();
        if !watchable || (self.connection.is_cluster() && !others.is_empty()) {
            // The rest lies elsewhere, and must be read no earlier than the slot.
            if watchable {
                spread::read_and_watch(&self.connection, Server::Familiar, &[watched]).await?;
            }
            return Ok(self.read(keys, Freshness::Current).await?.values);
        }
        let (values, _) = spread::read_and_watch(&self.connection, Server::Familiar, keys).await?;
        Ok(values.into_iter().collect())
    }

    fn tell(&self, local: Arc<Local>) {
        self.connection.wakeups().tell(local);
    }

    fn wake(&self, key: &Key) -> Wake {
        self.connection.wakeups().wake(key)
    }

    async fn claim(&self, claim: ClaimRequest<'_>) -> Result<Claim> {
        let ClaimRequest { slot, over, lease, lease_life, stamps, stamp_life, .. } = claim;
        let Some(over) = over else { return self.claim_empty(claim).await };
        let states = self.capture(stamps, stamp_life).await?;
        Ok(match self.replace(slot, over, lease.as_bytes(), lease_life).await? {
            Guarded::Applied => Claim::Won(states),
            Guarded::Refused => Claim::Lost,
        })
    }

    async fn capture(&self, stamps: &[&Key], life: Duration) -> Result<StampStates> {
        let (stamps, place) = identity::without(&self.connection, stamps);
        let mut states = self.captures.capture(&self.connection, &self.scripts, &stamps, life).await?;
        if let Some(place) = place {
            states.insert(place, identity::state(&self.connection));
        }
        Ok(states)
    }

    async fn replace(&self, slot: &Key, expected: &[u8], value: &[u8], life: Duration) -> Result<Guarded> {
        let life = millis(life).to_string();
        let (expected, value) = (wire(&self.connection, expected), wire(&self.connection, value));
        let args = [&*expected, &*value, life.as_bytes()];
        let slots = [slot];
        let _changed = self.changes(&slots);
        if self.writes.merges_fill(value.len()) {
            match self.writes.fill(self.scripts.replace.by_hash(&slots, &args)).await {
                // Once after a restart of the server; by its source, the script becomes known.
                Err(error) if error.has_code("NOSCRIPT") => {}
                answer => return guarded("fill", &answer?),
            }
        }
        self.guarded("fill", Repeat::Never, &self.scripts.replace, slot, &args).await
    }

    async fn claim_many(&self, claims: ManyClaims<'_>) -> Result<ManyClaimed> {
        many::claim(self, claims).await
    }

    async fn replace_many(&self, replacements: &[Replacement<'_>]) -> Vec<Result<Guarded>> {
        let slots: Vec<&Key> = replacements.iter().map(|replacement| replacement.slot).collect();
        let _changed = self.changes(&slots);
        many::replace(self, replacements).await
    }

    async fn extend_many(&self, held: &[Held<'_>], life: Duration) -> Vec<Result<Guarded>> {
        many::extend(self, held, life).await
    }

    async fn release_many(&self, held: &[Held<'_>]) -> Vec<Result<Guarded>> {
        many::release(self, held).await
    }

    async fn put(&self, slot: &Key, value: &[u8], life: Duration) -> Result<Guarded> {
        let slots = [slot];
        let _unreplicated = Unreplicated::over(&self.connection);
        let _changed = self.changes(&slots);
        put::put(self, slot, value, life).await
    }

    async fn extend(&self, key: &Key, expected: &[u8], life: Duration) -> Result<Guarded> {
        let life = millis(life).to_string();
        let args = [&*wire(&self.connection, expected), life.as_bytes()];
        self.guarded("extend", Repeat::Safe, &self.scripts.extend, key, &args).await
    }

    async fn slide(&self, slot: &Key, expected: &[u8], life: Duration, step: Duration) -> Result<Guarded> {
        let (latest, life) = (millis(life.saturating_sub(step)).to_string(), millis(life).to_string());
        let args = [&*wire(&self.connection, expected), life.as_bytes(), latest.as_bytes()];
        self.guarded("slide", Repeat::Safe, &self.scripts.slide, slot, &args).await
    }

    async fn release(&self, key: &Key, expected: &[u8]) -> Result<Guarded> {
        let args = [&*wire(&self.connection, expected)];
        self.guarded("release", Repeat::Never, &self.scripts.release, key, &args).await
    }

    async fn invalidate(&self, keys: &[&Key]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let _unreplicated = Unreplicated::over(&self.connection);
        let _changed = self.changes(keys);
        let groups = spread::groups(&self.connection, keys);
        let (operation, lua) = ("invalidate", &self.scripts.invalidate);
        let sent = groups.iter().map(|group| self.each_script(operation, lua, &group.keys, &[]));
        try_join_all(sent).await.map(drop)
    }

    async fn hold(&self, keys: &[&Key], hold: &[u8], life: Duration) -> Result<Vec<Overlap>> {
        let _unreplicated = Unreplicated::over(&self.connection);
        let _changed = self.changes(keys);
        let life = millis(life).to_string();
        let hold = wire(&self.connection, hold);
        let args = [&*hold, life.as_bytes()];
        let groups = spread::groups(&self.connection, keys);
        let groups: Vec<_> = groups.into_iter().filter(|group| !group.keys.is_empty()).collect();
        let sent = groups.iter().map(|group| async {
            let answers = self.each_script("hold", &self.scripts.hold, &group.keys, &args).await?;
            let mut overlaps = Vec::with_capacity(group.keys.len());
            for answer in answers {
                let Value::Array(counts) = answer else { return Err(unexpected("hold", &answer)) };
                overlaps.extend(counts.iter().map(|count| match count {
                    Value::Int(0) => Overlap::First,
                    _ => Overlap::Overlapping,
                }));
            }
            if overlaps.len() == group.keys.len() {
                Ok(overlaps)
            } else {
                Err(unexpected("hold", &Value::Array(Vec::new())))
            }
        });
        let overlaps = try_join_all(sent).await?;
        Ok(spread::in_order(&groups, overlaps))
    }

    async fn invalidate_matching(&self, pattern: &FullPattern, report: &Report<'_>) -> Result<u64> {
        sweep::sweep(self, pattern, report).await
    }

    async fn time_to_live(&self, key: &Key) -> Result<Option<Duration>> {
        let mut pttl = redis::cmd("PTTL");
        pttl.arg(key.as_bytes());
        let route = Route::to(key, Server::Familiar, Repeat::Safe);
        match self.connection.command("read the time to live", route, &pttl).await? {
            Value::Int(left) => Ok(u64::try_from(left).ok().map(Duration::from_millis)),
            other => Err(unexpected("read the time to live", &other)),
        }
    }
}

/// Redis refuses a life of 0 ms.
fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX / 2).clamp(1, u64::MAX / 4)
}
