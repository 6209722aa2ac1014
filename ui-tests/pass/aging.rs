// Entries that age: bodies that own what they use run behind a call, others need not.

#![deny(warnings)]
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt::Debug;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use keylatch::{CachedCall, KeyPart, cached};
use serde::{Deserialize, Serialize};

/// Neither `Clone` nor `Sync`: what runs behind a call is sent to a task, and not shared with it.
#[derive(Debug, Serialize, Deserialize)]
struct Page(Cell<u64>);

/// An error that is neither `Sync` nor printable.
struct Failure {
    _reason: Box<dyn Debug + Send>,
}

#[derive(Clone)]
struct Db;

#[cached(key = "page:{id}", ttl = "1h", refresh_after = "5m", stale_if_error = "1d", skip(db))]
async fn page(db: Db, id: u64) -> Result<Page, Failure> {
    let _ = db;
    if id == 0 { Err(Failure { _reason: Box::new("none") }) } else { Ok(Page(Cell::new(id))) }
}

#[cached(ttl = "1h", refresh_after = "5m", skip(load), cache_if = |found: &Option<u64>| found.is_some())]
async fn by<K: KeyPart + Debug + Send + 'static>(
    key: K,
    names: &'static [&'static str],
    load: impl Fn(&str) -> u64 + Send + Sync + 'static,
) -> Option<u64> {
    names.first().map(|name| load(name) + format!("{key:?}").len() as u64)
}

struct Shop {
    tenant: String,
}

trait Names {
    async fn name(self: Arc<Self>, id: u64) -> String;
}

impl Names for Shop {
    #[cached(key = "name:{self.tenant}:{id}", ttl = "1h", refresh_after = "5m", sliding = on)]
    async fn name(self: Arc<Self>, id: u64) -> String {
        format!("{} {id}", self.tenant)
    }
}

/// Borrows, and is not `Send`: what is renewed in the foreground may.
#[cached(key = "rates:{bank}", ttl = "1h", stale_if_error = "1d")]
async fn rates(bank: &str) -> io::Result<Rc<str>> {
    Ok(bank.into())
}

#[cached(ttl = "30m", sliding = on)]
async fn session(id: &str) -> Option<Rc<str>> {
    Some(id.into())
}

fn spawnable(_: impl Send) {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    keylatch::Keylatch::in_memory().install().unwrap();
    assert_eq!(page(Db, 1).await.ok().unwrap().0.get(), 1);
    assert!(page(Db, 0).await.is_err());
    spawnable(page(Db, 1));
    assert_eq!(by(7_u8, &["a"], |_| 1).await, Some(2));
    let shop = Arc::new(Shop { tenant: "t".into() });
    assert_eq!(Arc::clone(&shop).name(1).await, "t 1");
    shop.name(1).refresh().await;
    assert_eq!(&*rates("b").await.unwrap(), "b");
    assert_eq!(session("s").await.as_deref(), Some("s"));
}
