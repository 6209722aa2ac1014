//! Over a connection that tells of changes, silence must mean that nothing has changed. Each is asked once a second whether it
//! still does; if no answer comes, or if nobody listens any more, everything at hand is given up.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::Value;

use super::endpoint::PATIENCE;
use super::link::{Live, WeakLink};
use crate::clock;
use crate::store::Wakeups;
use crate::telemetry;

/// How long a connection is trusted.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps watch over a connection, in a task beside the one that drives it, until it is given up.
pub(super) fn keep(live: &Arc<Live>, link: WeakLink, wakeups: Wakeups, address: String) {
    let listening = Listening { link, generation: live.generation(), wakeups };
    tokio::spawn(vigil(Arc::downgrade(live), listening, address));
}

/// Dropped when the connection is given up, or with the runtime that drove it: then nobody would notice a change. Keeps no
/// connection alive that nobody uses any more.
struct Listening {
    link: WeakLink,
    generation: u64,
    wakeups: Wakeups,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.link.lost(self.generation);
        self.wakeups.all_changed();
    }
}

async fn vigil(live: Weak<Live>, listening: Listening, address: String) {
    loop {
        clock::sleep(INTERVAL).await;
        let Some(live) = live.upgrade().filter(|_| listening.link.has(listening.generation)) else { return };
        if !tells(&live).await {
            telemetry::silent(&address);
            listening.wakeups.all_changed();
        }
    }
}

/// Whether the server answers, and still tells of changes: a proxy may have another one behind it by now.
async fn tells(live: &Live) -> bool {
    let mut connection = live.connection();
    let mut ask = redis::cmd("CLIENT");
    ask.arg("TRACKINGINFO");
    match clock::within(PATIENCE, connection.send_packed_command(&ask)).await {
        Some(Ok(answer)) => !is_off(&answer),
        // One that does not know the question has answered all the same.
        Some(Err(error)) => error.code().is_some(),
        None => false,
    }
}

/// The flags are `on` and others, or `off`.
fn is_off(answer: &Value) -> bool {
    match answer {
        Value::Map(fields) => fields.iter().any(|(_, value)| is_off(value)),
        Value::Array(values) | Value::Set(values) => values.iter().any(is_off),
        Value::BulkString(text) => text == b"off",
        Value::SimpleString(text) => text == "off",
        _ => false,
    }
}
