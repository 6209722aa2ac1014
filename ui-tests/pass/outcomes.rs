// Return types in all shapes, and errors that need nothing of the cache.

#![deny(warnings)]
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use keylatch::{cache_invalidate, cached, with_lock};

/// Neither `Clone` nor serialisable.
#[derive(Debug)]
pub struct Failure;

type Answer<T> = std::result::Result<T, Failure>;
type Maybe = Option<u64>;

#[cached(ttl = "1h")]
async fn fallible(id: u64) -> std::result::Result<Arc<str>, Failure> {
    if id == 0 { Err(Failure) } else { Ok(id.to_string().into()) }
}

#[cached(ttl = "1h")]
async fn of_io(path: &str) -> io::Result<Vec<u8>> {
    Ok(path.as_bytes().to_vec())
}

/// Not `Send`, and so for runtimes of one thread.
#[cached(ttl = "1h")]
async fn of_one_thread(id: u64) -> Rc<str> {
    id.to_string().into()
}

#[cached(ttl = "1h")]
async fn maybe(id: u64) -> Maybe {
    (id > 0).then_some(id)
}

#[cached(ttl = "1h")]
async fn map(id: u64) -> HashMap<u64, (f64, Cow<'static, str>)> {
    HashMap::from([(id, (0.5, "half".into()))])
}

#[cached(ttl_from = Duration::from_secs(*result), cache_if = |seconds: &u64| *seconds > 0)]
async fn seconds(id: u64) -> u64 {
    id
}

#[cached(ttl = "1h", ttl_from = own_life, cache_if = is_even)]
async fn even(id: u64) -> u64 {
    id
}

fn own_life(id: &u64) -> Option<Duration> {
    (*id > 4).then(|| Duration::from_secs(60))
}

fn is_even(id: &u64) -> bool {
    id.is_multiple_of(2)
}

#[cache_invalidate(fallible(id))]
async fn nothing(id: u64) {
    let _ = id;
}

#[cache_invalidate(fallible(*result), if = *result > 0)]
async fn written(id: u64) -> Result<u64, Failure> {
    Ok(id)
}

// A lock cares for what the type is, not for how it is written.
#[with_lock(key = "alias:{id}", ttl = "30s")]
async fn alias(id: u64) -> Locked<u64> {
    Ok(id)
}

type Locked<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[cached(ttl = "1h")]
async fn unfinished(id: u64) -> Result<u64, Failure> {
    if id > 0 {
        panic!("not reached with {id}");
    }
    let answer: Answer<u64> = Err(Failure);
    answer
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert!(fallible(0).await.is_err());
    assert_eq!(&*fallible(1).await.unwrap(), "1");
    assert_eq!(&*of_one_thread(1).await, "1");
    assert_eq!(of_io("a").await.unwrap(), b"a");
    assert_eq!((maybe(0).await, maybe(1).await), (None, Some(1)));
    assert_eq!(map(1).await[&1].1, "half");
    assert_eq!((seconds(1).await, even(4).await), (1, 4));
    nothing(1).await;
    assert_eq!(written(1).await.unwrap(), 1);
    assert_eq!(alias(1).await.unwrap(), 1);
    assert!(unfinished(0).await.is_err());
}
