//! Fencing tokens at the resource: what makes a holder harmless whose lock has been somebody else's since.
//!
//! A lock with a lease cannot keep a stopped process from writing late: it may be paused between its last look at the clock
//! and its write, for longer than any lease. Its [`FencingToken`] can, if the resource looks at it. The rules, for any
//! resource:
//!
//! 1. the resource keeps the newest token that it has seen, and refuses whatever comes with an older one, in one atomic step
//!    with the write;
//! 2. **register the token before you read.** Otherwise the late write of a stale holder may still be accepted after you
//!    have read, since the resource does not know of you yet, and your own write then undoes it, though it was acknowledged;
//! 3. a refused write is not repeated: the lock is lost, and whoever has it goes on from what is there.
//!
//! For SQL, [`SqlFence`] words the statements; for Redis, [`FencedKey`] registers, reads and writes, and [`LUA`] is the check
//! for scripts of your own. For an object store: keep the token in the object, and write under the condition that the object
//! is still the one that was read (`If-Match`), after a first such write that only stores the token.
//!
//! ```
//! use std::time::Duration;
//! use keylatch::Keylatch;
//! use keylatch::fencing::SqlFence;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let keylatch = Keylatch::in_memory();
//! # let execute = |_sql: &str, _values: &[i64]| 1;
//! let accounts = SqlFence::new("account", "id", "fence")?;
//! let (register, update) = (accounts.register(), accounts.update(&["balance"])?);
//! let account = 7;
//! keylatch
//!     .lock("account")
//!     .fence()
//!     .run(async |lease| {
//!         let token = lease.token().expect("it was asked for");
//!         // 1. Register. From here on, no older holder's write is accepted.
//!         let rows = execute(&register, &[token.sql(), account, token.sql()]);
//!         accounts.accepted(token, rows)?;
//!         // 2. Read. 3. Write, under the same check.
//!         let balance = 100;
//!         let rows = execute(&update, &[balance - 1, token.sql(), account, token.sql()]);
//!         accounts.accepted(token, rows)
//!     })
//!     .await??;
//! # Ok(())
//! # }
//! ```
//!
//! From M. Kleppmann, *How to do distributed locking* (2016), and M. Burrows, *The Chubby lock service* (2006), which calls
//! the token a sequencer; the second rule from neither.

mod error;
mod redis;
mod sql;

pub use error::FenceError;
pub use redis::{FencedKey, LUA};
pub use sql::{Placeholders, SqlFence};

pub use crate::lock::FencingToken;
