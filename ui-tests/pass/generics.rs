// Type, const and lifetime parameters, `where`, `impl Trait`, patterns, and values generic over the parameter.

#![deny(warnings)]
#![forbid(unsafe_code)]

use std::future::Future;

use keylatch::{CachedCall, KeyPart, cache_invalidate, cached, with_lock};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cached(key = "load:{id}", ttl = "1h", skip(load))]
async fn load<'a, V, I: KeyPart + ?Sized, const N: usize>(
    id: &'a I,
    load: impl Fn(usize) -> V + Send + 'a,
) -> Vec<V>
where
    V: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    (0..N).map(load).collect()
}

#[cached(key = "found:{id}", ttl = "1h", skip(find))]
async fn found<V, F, E>(id: u64, find: F) -> Result<Option<V>, E>
where
    F: AsyncFn(u64) -> Result<V, E>,
    V: Serialize + DeserializeOwned + Send,
{
    if id == 0 {
        return Ok(None);
    }
    let value = find(id).await?;
    Ok(Some(value))
}

#[cached(ttl = "1h")]
async fn sum((a, b): (u64, u64), [c, .., d]: [u64; 3], mut rest: Vec<u64>) -> u64 {
    rest.push(a + b + c + d);
    rest.iter().sum()
}

trait Table {
    const NAME: &'static str;
}

struct Users;

impl Table for Users {
    const NAME: &'static str = "users";
}

#[cached(key = "count", ttl = "1h")]
async fn count<T: Table>() -> usize {
    T::NAME.len()
}

#[cache_invalidate(found(*result, find))]
async fn write<'f, F>(id: u64, find: &'f F) -> Result<u64, String>
where
    F: AsyncFn(u64) -> Result<u64, String>,
{
    find(id).await
}

#[with_lock(key = "each:{name}", ttl = "30s")]
async fn each<T: Send, R: Future<Output = T> + Send>(
    name: &str,
    run: impl FnOnce() -> R,
) -> Result<T, Failure> {
    let _ = name;
    Ok(run().await)
}

#[derive(Debug)]
struct Failure;

impl From<keylatch::LockError> for Failure {
    fn from(_: keylatch::LockError) -> Self {
        Self
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(load::<_, _, 2>("a", |n| n).await, [0, 1]);
    assert_eq!(load::<String, str, 3>("a", |n| n.to_string()).await, ["0", "1", "2"]);
    let find = async |id: u64| if id == 9 { Err("none".to_owned()) } else { Ok(id) };
    assert_eq!(found(0, &find).await, Ok(None));
    assert_eq!(found(1, &find).await, Ok(Some(1)));
    assert_eq!(found(9, &find).await, Err("none".to_owned()));
    assert_eq!(sum((1, 2), [3, 0, 4], vec![5]).await, 15);
    assert_eq!(count::<Users>().await, 5);
    assert_eq!(write(1, &find).await, Ok(1));
    assert_eq!(found(1, &find).peek().await.unwrap(), None);
    assert_eq!(each("a", || async { 7 }).await.unwrap(), 7);
}
