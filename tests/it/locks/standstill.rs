//! A process that stands still between the grant of a lock and its use, for longer than the lock lives.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keylatch::LockError;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{RedisServer, keylatch};

const TTL: Duration = Duration::from_millis(250);

/// Stops the thread whenever it hears that a lock was granted, as many times as it is to.
#[derive(Clone, Default)]
struct Standstill {
    times: u32,
    grants: Arc<AtomicU32>,
}

struct IsGrant(bool);

impl Visit for IsGrant {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 |= field.name() == "message" && format!("{value:?}") == "locked";
    }
}

impl Subscriber for Standstill {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("keylatch")
    }
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut is_grant = IsGrant(false);
        event.record(&mut is_grant);
        if is_grant.0 && self.grants.fetch_add(1, Ordering::SeqCst) < self.times {
            std::thread::sleep(TTL * 3);
        }
    }
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

/// How often the lock was granted, and its body begun, with the outcome.
async fn locks(times: u32, wait: Duration) -> (u32, u32, Result<(), LockError>) {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    cache.lock("warm").run(async |_lease| ()).await.unwrap();
    let standstill = Standstill { times, ..Standstill::default() };
    let _listens = tracing::subscriber::set_default(standstill.clone());
    let entered = AtomicU32::new(0);
    let body = async |_lease| {
        entered.fetch_add(1, Ordering::SeqCst);
    };
    let outcome = cache.lock("work").ttl(TTL).wait(wait).run(body).await;
    (standstill.grants.load(Ordering::SeqCst), entered.load(Ordering::SeqCst), outcome)
}

#[tokio::test]
async fn what_ended_before_its_use_is_asked_for_again() {
    let (grants, entered, outcome) = locks(2, Duration::from_secs(10)).await;
    outcome.expect("there is time");
    assert!(grants >= 3 && entered == 1, "granted {grants} times, entered {entered} times");
}

#[tokio::test]
async fn without_time_for_that_the_body_does_not_begin() {
    let (grants, entered, outcome) = locks(1, Duration::ZERO).await;
    let error = outcome.expect_err("it had ended");
    assert!(matches!(error, LockError::Unknown { .. }) && !error.body_ran(), "{error}");
    assert_eq!((grants, entered), (1, 0));
}
