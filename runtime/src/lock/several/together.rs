//! Several locks in one request to one master.

use std::sync::LazyLock;

use crate::clock;
use crate::connection::{Repeat, slot_of};
use crate::error::{Error, ErrorKind};
use crate::key::{Key, queue_of};
use crate::lock::master::{AnyMaster, RedisMaster};
use crate::lock::mutex::{Claim, Together};
use crate::lock::options::LockBuilder;
use crate::lock::token::FencingToken;
use crate::lock::{LockError, Sharing};
use crate::script::{Call, Lua, Numbers};
use crate::telemetry;

static ACQUIRE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(concat!(include_str!("../../script/lock/hand_over.lua"), include_str!("acquire.lua")))
});

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Granted(Vec<Claim>),
    /// Somebody else has this one, or waits for it. None was taken.
    Held(Key),
    /// They cannot be asked for in one request.
    Apart,
}

/// Asks for all at once.
///
/// # Errors
/// [`LockError::Unknown`]; what may have been taken is given back.
pub(super) async fn attempt(options: &LockBuilder) -> Result<Outcome, LockError> {
    debug_assert_eq!(options.sharing, Sharing::Alone, "several keys are locked alone");
    let unknown = |source| LockError::Unknown { key: options.key.clone(), source };
    options.home.open("lock").map_err(unknown)?;
    let AnyMaster::Redis(master) = options.home.lock_master() else { return Ok(Outcome::Apart) };
    let slot = |key: &Key| slot_of(key.as_bytes());
    if master.connection().is_cluster() && options.keys().any(|key| slot(key) != slot(&options.key)) {
        return Ok(Outcome::Apart);
    }
    // From here on a drop gives all of them back.
    let parts: Vec<Together> = options.keys().map(|key| Together::new(options.part(key))).collect();
    let sent = clock::moment();
    let answer = match send(master, options, &parts).await {
        Ok(answer) => answer,
        Err(error) => {
            if error.is_unsent() {
                parts.into_iter().for_each(Together::refused);
            }
            return Err(unknown(error));
        }
    };
    match &answer[..] {
        [1, tokens @ ..] if tokens.len() == parts.len() => {
            let token = |token: i64| u64::try_from(token).ok().filter(|token| *token > 0);
            let granted = parts
                .into_iter()
                .zip(tokens)
                .map(|(part, granted)| part.granted(sent, token(*granted).map(FencingToken::new)));
            // The answer may have come when the leases were nearly over.
            let Some(parts) = granted.collect::<Option<Vec<_>>>() else { return Ok(Outcome::Apart) };
            for part in &parts {
                telemetry::lock_acquired(part.lease.key(), || clock::moment() - sent);
            }
            Ok(Outcome::Granted(parts))
        }
        [0, held] => {
            let held = usize::try_from(*held).ok().and_then(|held| options.keys().nth(held.checked_sub(1)?));
            let held = held.unwrap_or(&options.key).clone();
            parts.into_iter().for_each(Together::refused);
            Ok(Outcome::Held(held))
        }
        _ => Err(unknown(Error::new(ErrorKind::Protocol, "lock several"))),
    }
}

async fn send(master: &RedisMaster, options: &LockBuilder, parts: &[Together]) -> crate::Result<Numbers> {
    let counter = master.counter(&options.key);
    let queues: Vec<Key> = options.keys().map(queue_of).collect();
    let pairs = options.keys().zip(&queues).flat_map(|(lock, queue)| [lock, queue]);
    let keys: Vec<&Key> = std::iter::once(&counter).chain(pairs).collect();
    let life = options.ttl.as_millis().to_string();
    let proposal = if options.fence { options.home.proposals().next().to_string() } else { String::new() };
    let values: Vec<_> = parts.iter().map(|part| part.value().bytes()).collect();
    let values = values.iter().map(|value| &value[..]);
    let args: Vec<&[u8]> = [life.as_bytes(), proposal.as_bytes()].into_iter().chain(values).collect();
    let call = Call {
        operation: "lock several",
        lua: &ACQUIRE,
        keys: &keys,
        args: &args,
        // What it finds ours counts as granted.
        repeat: Repeat::Safe,
        watch: false,
    };
    call.run(master.connection()).await
}
