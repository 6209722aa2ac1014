//! What may cross threads: public types and the futures of the macros.

use keylatch::explanation::Explanation;
use keylatch::{
    Builder, CachedCall, Entry, Error, Function, FunctionStats, Key, Keylatch, Lease, LockBuilder, LockError,
    LockGuard, Pattern, cache_invalidate, cache_put, cached, with_lock,
};

fn send_and_sync<T: Send + Sync + 'static>() {}
fn is_send<T: Send>(_value: T) {}
fn is_error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn public_types() {
    send_and_sync::<Keylatch>();
    send_and_sync::<Builder>();
    send_and_sync::<Key>();
    send_and_sync::<Pattern>();
    send_and_sync::<Entry>();
    send_and_sync::<Explanation>();
    send_and_sync::<Function>();
    send_and_sync::<FunctionStats>();
    send_and_sync::<Lease>();
    send_and_sync::<LockBuilder>();
    send_and_sync::<LockGuard>();
    is_error::<Error>();
    is_error::<LockError>();
}

#[cached(key = "auto:{id}", ttl = "1m", skip(name))]
async fn function(name: &str, id: u64) -> Result<String, LockError> {
    tokio::task::yield_now().await;
    Ok(format!("{name} {id}"))
}

#[cache_invalidate(function(name, 1))]
async fn writer(name: &str) -> Result<(), LockError> {
    tokio::task::yield_now().await;
    Ok(())
}

#[cache_put(function(name, 1))]
async fn putter(name: &str) -> Result<String, LockError> {
    tokio::task::yield_now().await;
    Ok(name.to_owned())
}

#[with_lock(key = "auto", ttl = "1s")]
async fn locked(name: &str) -> Result<usize, LockError> {
    tokio::task::yield_now().await;
    Ok(name.len())
}

#[test]
fn futures_of_the_macros_are_send() {
    let name = String::from("borrowed");
    is_send(function(&name, 1));
    is_send(function(&name, 1).invalidate());
    is_send(function(&name, 1).peek());
    is_send(function(&name, 1).put(String::new()));
    is_send(function(&name, 1).refresh());
    is_send(function(&name, 1).time_to_live());
    is_send(function(&name, 1).explain());
    is_send(writer(&name));
    is_send(putter(&name));
    is_send(locked(&name));
}
