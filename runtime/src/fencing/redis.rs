//! Values in Redis that only the newest holder may change.

use redis::aio::ConnectionLike;
use redis::{FromRedisValue, ParsingError, Script, ToSingleRedisArg, Value};

use super::{FenceError, FencingToken};

/// The check for scripts of your own: text to put before them. It defines `stale(fence, token)`, which returns nothing if the
/// token is the newest, and then keeps it, and otherwise the newest one, and then your script must not write.
///
/// ```
/// use keylatch::fencing::LUA;
/// use keylatch::redis::Script;
///
/// // KEYS: the hash, its fence (in one slot of a cluster). ARGV: the token, the field, the step.
/// let add = Script::new(&format!(
///     "{LUA}
///      if stale(KEYS[2], ARGV[1]) then return redis.error_reply('STALE a newer holder was there') end
///      return redis.call('HINCRBY', KEYS[1], ARGV[2], ARGV[3])"
/// ));
/// # let _ = add;
/// ```
pub const LUA: &str = include_str!("../script/fence.lua");

const READ: &str = concat!(include_str!("../script/fence.lua"), include_str!("../script/fenced_read.lua"));
const WRITE: &str = concat!(include_str!("../script/fence.lua"), include_str!("../script/fenced_write.lua"));

/// A Redis string that only the newest holder of its lock may change: beside it lies its fence, the newest token that was
/// seen. All writers must use it; a plain `SET` asks nobody.
///
/// Any connection of the Redis client serves, a [`Connection`](crate::Connection) included, and the server need not be the one
/// of the locks. Each call is one round trip. The fence has no end of life, also when the value is [removed](Self::remove):
/// it may go (`EXPIRE`) once no older holder can be left.
///
/// ```no_run
/// use keylatch::Keylatch;
/// use keylatch::fencing::FencedKey;
///
/// # async fn count(keylatch: &Keylatch) -> Result<(), Box<dyn std::error::Error>> {
/// let mut redis = keylatch.connection().ok_or("no Redis is configured")?;
/// let report = FencedKey::new("report:7");
/// keylatch
///     .lock("report")
///     .fence()
///     .run(async |lease| {
///         let token = lease.token().expect("it was asked for");
///         let pages: Option<u64> = report.read(&mut redis, token).await?;
///         report.write(&mut redis, token, pages.unwrap_or(0) + 1).await
///     })
///     .await??;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FencedKey {
    key: String,
    fence: String,
    read: Script,
    write: Script,
}

impl FencedKey {
    /// The string at `key`. Its fence lies at the key with `#fence` behind it, in the same slot of a cluster, unless the key has
    /// a `}` that ends no hash tag: in a cluster such a key cannot be guarded.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        let key = key.into();
        // A key that names its slot by braces names that of the fence, too.
        let has_tag = key.split_once('{').and_then(|(_, rest)| rest.find('}')).is_some_and(|end| end > 0);
        let fence = if has_tag { format!("{key}#fence") } else { format!("{{{key}}}#fence") };
        Self { key, fence, read: Script::new(READ), write: Script::new(WRITE) }
    }

    /// Where the newest token lies.
    #[must_use]
    pub fn fence(&self) -> &str {
        &self.fence
    }

    /// Registers the token, then reads, in one step: what is read stays what it is until this holder, or a newer one, writes.
    ///
    /// # Errors
    /// [`FenceError::Stale`] if a newer holder was there; [`FenceError::Unknown`].
    ///
    /// # Cancel safety
    /// A dropped call may have registered the token, which does no harm.
    pub async fn read<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        token: FencingToken,
    ) -> Result<Option<T>, FenceError> {
        let mut call = self.read.key(&self.key);
        call.key(&self.fence).arg(token.get());
        let answer: Result<(u8, Value), _> = call.invoke_async(connection).await;
        let value = self.judged(token, answer.map_err(|source| self.unknown(source))?)?;
        let value = <Option<T> as FromRedisValue>::from_redis_value(value);
        value.map_err(|source: ParsingError| self.unknown(source.into()))
    }

    /// Writes, if no newer holder was there.
    ///
    /// # Errors
    /// [`FenceError::Stale`] if one was: nothing was written; [`FenceError::Unknown`].
    ///
    /// # Cancel safety
    /// A dropped call may have written.
    pub async fn write(
        &self,
        connection: &mut impl ConnectionLike,
        token: FencingToken,
        value: impl ToSingleRedisArg,
    ) -> Result<(), FenceError> {
        let mut call = self.write.key(&self.key);
        call.key(&self.fence).arg(token.get()).arg(value);
        self.changed(token, call.invoke_async(connection).await)
    }

    /// Removes the value, if no newer holder was there. The fence stays, so that no stale holder brings the value back.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    ///
    /// # Cancel safety
    /// A dropped call may have removed the value.
    pub async fn remove(
        &self,
        connection: &mut impl ConnectionLike,
        token: FencingToken,
    ) -> Result<(), FenceError> {
        let mut call = self.write.key(&self.key);
        call.key(&self.fence).arg(token.get());
        self.changed(token, call.invoke_async(connection).await)
    }

    fn changed(
        &self,
        token: FencingToken,
        answer: redis::RedisResult<(u8, Option<Value>)>,
    ) -> Result<(), FenceError> {
        let (accepted, newest) = answer.map_err(|source| self.unknown(source))?;
        self.judged(token, (accepted, newest.unwrap_or(Value::Nil))).map(|_| ())
    }

    fn judged(&self, token: FencingToken, (accepted, value): (u8, Value)) -> Result<Value, FenceError> {
        if accepted == 1 {
            return Ok(value);
        }
        let newest = redis::from_redis_value(value).ok();
        Err(FenceError::Stale { resource: self.key.clone(), token, newest })
    }

    fn unknown(&self, source: redis::RedisError) -> FenceError {
        FenceError::Unknown { resource: self.key.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::slot_of;

    #[test]
    fn fences_lie_in_the_slots_of_their_keys() {
        for key in ["report", "a:{user}:b", "{", "a{b", "{a}{b}"] {
            let fenced = FencedKey::new(key);
            assert!(fenced.fence().ends_with("#fence"));
            assert_eq!(slot_of(fenced.fence().as_bytes()), slot_of(key.as_bytes()), "{key}");
        }
    }
}
