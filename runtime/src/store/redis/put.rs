//! Putting a value into a slot, whatever is there but a hold: in two steps, a lease and then the value.
//!
//! A put that is given up may still be carried out, after a later invalidation. In one step it would bring the value back; in two,
//! the second finds its lease gone.

use std::sync::Arc;
use std::time::Duration;

use super::answer::wire;
use super::{RedisStore, millis};
use crate::connection::{Connection, Repeat};
use crate::error::Result;
use crate::key::Key;
use crate::script::Scripts;
use crate::store::{Guarded, Lease, Store};

/// How long the lease lives under which a value is put: time enough for the second step.
const LIFE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) async fn put(store: &RedisStore, slot: &Key, value: &[u8], life: Duration) -> Result<Guarded> {
    let mut leased = Leased::new(store, slot);
    let lease_life = millis(LIFE).to_string();
    let args = [&*wire(&store.connection, leased.lease.as_bytes()), lease_life.as_bytes()];
    if store.guarded("put", Repeat::Never, &store.scripts.put, slot, &args).await? == Guarded::Refused {
        leased.has_gone = true;
        return Ok(Guarded::Refused);
    }
    let put = store.replace(slot, leased.lease.as_bytes(), value, life).await;
    leased.has_gone = put.is_ok();
    put
}

/// The lease under which a value is put. Given back when that fails or is given up, so that nobody waits for it until it ends.
struct Leased {
    connection: Connection,
    scripts: Arc<Scripts>,
    slot: Key,
    lease: Lease,
    has_gone: bool,
}

impl Leased {
    fn new(store: &RedisStore, slot: &Key) -> Self {
        let (connection, scripts) = (store.connection.clone(), Arc::clone(&store.scripts));
        Self { connection, scripts, slot: slot.clone(), lease: Lease::new(), has_gone: false }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        // Without a runtime the lease expires by itself.
        let (false, Ok(runtime)) = (self.has_gone, tokio::runtime::Handle::try_current()) else { return };
        let (connection, scripts) = (self.connection.clone(), Arc::clone(&self.scripts));
        let (slot, lease) = (self.slot.clone(), self.lease);
        runtime.spawn(async move {
            let args = [&*wire(&connection, lease.as_bytes())];
            let _ = scripts.release.run(&connection, "release", Repeat::Never, &[&slot], &args).await;
        });
    }
}
