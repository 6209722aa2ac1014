//! Over a connection that tells of changes, silence must mean that nothing has changed. A connection that is idle is asked
//! once a second; if no answer comes, or if nobody listens any more, everything at hand is given up.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::endpoint::PATIENCE;
use super::link::{Link, Live};
use crate::clock;
use crate::store::Wakeups;
use crate::telemetry;

/// How long a connection may be silent before it is asked.
const IDLE: Duration = Duration::from_secs(1);

/// Keeps watch over a connection, in a task beside the one that drives it, until it is given up.
pub(super) fn keep(live: &Arc<Live>, link: Link, wakeups: Wakeups, address: String) {
    let listening = Listening { link, generation: live.generation() };
    tokio::spawn(vigil(Arc::downgrade(live), listening, wakeups, address));
}

/// Dropped when the connection is given up, or with the runtime that drove it: then nobody would notice a change.
struct Listening {
    link: Link,
    generation: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.link.lost(self.generation);
    }
}

async fn vigil(live: Weak<Live>, listening: Listening, wakeups: Wakeups, address: String) {
    let mut answered = None;
    loop {
        clock::sleep(IDLE).await;
        let Some(live) = live.upgrade().filter(|_| listening.link.has(listening.generation)) else { return };
        let now = Some(live.traffic.answered());
        if answered == now && !is_answered(&live).await {
            telemetry::silent(&address);
            wakeups.all_changed();
        }
        answered = now;
    }
}

async fn is_answered(live: &Live) -> bool {
    let (ping, mut connection) = (redis::cmd("PING"), live.connection());
    let answer = connection.send_packed_command(&ping);
    matches!(clock::within(PATIENCE, answer).await, Some(Ok(_)))
}
