//! Values of one's own as JSON, in plain strings: what services keep in Redis by hand, and what other languages read.

use std::time::Duration;

use redis::{Cmd, ToRedisArgs};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Connection, failure};
use crate::codec::{from_json, to_json};
use crate::error::{Error, ErrorKind, Result};

impl Connection {
    /// The value that `key` holds as JSON; `None` if the key does not exist.
    ///
    /// Keys are taken as they are, without the instance's prefix, as by every command of this connection. A read is repeated
    /// where that is safe.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use keylatch::Keylatch;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let redis = Keylatch::from_env()?.connection().expect("REDIS_URL is set");
    /// redis.set_json("basket:7", &vec!["apple", "pear"], Some(Duration::from_secs(3_600))).await?;
    /// let basket: Option<Vec<String>> = redis.get_json("basket:7").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if the key holds something else than JSON of a `T`: the error tells where, and nothing of the value.
    /// Whatever a `GET` may fail with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn get_json<T: DeserializeOwned>(&self, key: impl ToRedisArgs) -> Result<Option<T>> {
        const OPERATION: &str = "get JSON";
        let mut get = redis::cmd("GET");
        get.arg(key);
        let held: Option<Vec<u8>> = self.ask_for(OPERATION, &get).await?;
        held.map(|json| from_json(&json))
            .transpose()
            .map_err(|error| Error::new(ErrorKind::Decode, OPERATION).because(error))
    }

    /// Sets `key` to `value` as JSON, to live for `life` from when the server has it; `None`: until it is removed.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] if the value cannot be JSON: a map whose keys are no text, say. Whatever a `SET` may fail with.
    ///
    /// # Cancel safety
    /// A call that is dropped has set the key or not. It is not repeated by itself.
    pub async fn set_json<T: Serialize + ?Sized>(
        &self,
        key: impl ToRedisArgs,
        value: &T,
        life: Option<Duration>,
    ) -> Result<()> {
        const OPERATION: &str = "set JSON";
        let json = to_json(value).map_err(|error| Error::new(ErrorKind::Encode, OPERATION).because(error))?;
        let mut set = redis::cmd("SET");
        set.arg(key).arg(json);
        if let Some(life) = life {
            // Redis refuses a life of 0 ms.
            set.arg("PX").arg(u64::try_from(life.as_millis()).unwrap_or(u64::MAX / 4).max(1));
        }
        self.ask_for(OPERATION, &set).await
    }

    async fn ask_for<T: redis::FromRedisValue>(&self, operation: &'static str, cmd: &Cmd) -> Result<T> {
        let answer = self.users_command(cmd).await;
        let answer = answer.and_then(|value| Ok(redis::from_redis_value(value)?));
        answer.map_err(|error| failure::failed(operation, &self.server_name(), error))
    }
}
