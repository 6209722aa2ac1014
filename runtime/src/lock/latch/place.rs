//! Where a latch is: one step each, by a script or on the embedded store.

use std::sync::LazyLock;
use std::time::Duration;

use super::embedded::Set;
use super::gate::{Gate, Generation};
use crate::connection::Repeat;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::lock::LockValue;
use crate::script::{Call, Lua, Numbers};
use crate::store::Primary;

static SET: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("set.lua")));
static COUNT_DOWN: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("count_down.lua")));
static LOOK: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("look.lua")));
static WATCH: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("watch.lua")));

/// One latch on its store. Every step may be sent twice and happens once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) primary: Primary<'a>,
    pub(super) key: &'a Key,
    pub(super) ids: &'a Key,
}

impl Place<'_> {
    pub(super) async fn set(self, count: u32, life: Duration, by: LockValue) -> Result<Set> {
        let redis = match self.primary {
            Primary::Embedded(store) => {
                let set = store.latches().set(self.key, count, life, by);
                store.woken(self.key);
                return Ok(set);
            }
            Primary::Redis(redis) => redis,
        };
        let (total, life) = (count.to_string(), life.as_millis().to_string());
        let call = Call {
            operation: "set a latch",
            lua: &SET,
            keys: &[self.key, self.ids],
            args: &[total.as_bytes(), life.as_bytes(), &by.bytes()],
            repeat: Repeat::Safe,
            watch: false,
        };
        match *call.run(redis.connection()).await? {
            [1, _] => Ok(Set::Begun),
            [0, left] => Ok(Set::UnderWay(u32::try_from(left).unwrap_or(0))),
            _ => Err(malformed("set a latch")),
        }
    }

    /// What is left; nothing when there is no latch.
    pub(super) async fn count_down(
        self,
        Generation(meant): Generation,
        id: &[u8],
        life: Duration,
    ) -> Result<Option<u32>> {
        let redis = match self.primary {
            Primary::Embedded(store) => {
                let left = store.latches().count_down(self.key, Generation(meant), id, life);
                if left == Some(0) {
                    store.woken(self.key);
                }
                return Ok(left);
            }
            Primary::Redis(redis) => redis,
        };
        let (meant, life) = (meant.to_string(), life.as_millis().to_string());
        let call = Call {
            operation: "count a latch down",
            lua: &COUNT_DOWN,
            keys: &[self.key, self.ids],
            args: &[meant.as_bytes(), id, life.as_bytes()],
            repeat: Repeat::Safe,
            watch: false,
        };
        match *call.run(redis.connection()).await? {
            [-1] => Ok(None),
            [left] => u32::try_from(left).map(Some).map_err(|_| malformed("count a latch down")),
            _ => Err(malformed("count a latch down")),
        }
    }

    /// The gate and what is left.
    pub(super) async fn look(self) -> Result<Option<(Gate, u32)>> {
        let redis = match self.primary {
            Primary::Embedded(store) => return Ok(store.latches().look(self.key)),
            Primary::Redis(redis) => redis,
        };
        let call = Call {
            operation: "read a latch",
            lua: &LOOK,
            keys: &[self.key, self.ids],
            args: &[],
            repeat: Repeat::Safe,
            watch: false,
        };
        let answer = call.run(redis.connection()).await?;
        match *answer {
            [_, _, left] => Ok(gate(&answer).map(|gate| (gate, u32::try_from(left).unwrap_or(0)))),
            [] => Ok(None),
            _ => Err(malformed("read a latch")),
        }
    }

    /// The gate; a later change of it is told.
    pub(super) async fn watch(self) -> Result<Option<Gate>> {
        let redis = match self.primary {
            Primary::Embedded(store) => return Ok(store.latches().look(self.key).map(|(gate, _)| gate)),
            Primary::Redis(redis) => redis,
        };
        let call = Call {
            operation: "watch a latch",
            lua: &WATCH,
            keys: &[self.key],
            args: &[],
            repeat: Repeat::Safe,
            watch: true,
        };
        Ok(gate(&call.run(redis.connection()).await?))
    }
}

fn gate(answer: &Numbers) -> Option<Gate> {
    match **answer {
        [generation, completed, ..] => {
            Some(Gate { generation: Generation(generation), completed: Generation(completed) })
        }
        _ => None,
    }
}

fn malformed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, operation).with("answer", "other numbers than the script yields")
}
