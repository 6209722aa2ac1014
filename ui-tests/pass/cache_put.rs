//! `#[cache_put]` on all kinds of writers.

use keylatch::{CachedCall, Keylatch, cache_invalidate, cache_put, cached};

struct Db;

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct User {
    id: u64,
    name: String,
}

#[cached(key = "user:{id}", ttl = "1h", skip(db))]
async fn user(db: &Db, id: u64) -> Result<User, std::io::Error> {
    let _ = db;
    Ok(User { id, name: "old".into() })
}

#[cached(key = "list:{name}", ttl = "1h")]
async fn list(name: String) -> Vec<String> {
    vec![name]
}

#[cache_put(user(db, id), if = id != 2)]
async fn rename(db: &Db, id: u64, name: &str) -> Result<User, std::io::Error> {
    let _ = db;
    if name.is_empty() {
        return Err(std::io::Error::other("empty"));
    }
    Ok(User { id, name: name.into() })
}

/// The value is no `Clone`, arguments are consumed, and another attribute is beside this one.
#[cache_put(user(&Db, result.id))]
#[cache_invalidate(list(result.name.clone()))]
async fn create(name: String) -> Result<User, std::io::Error> {
    Ok(User { id: 7, name })
}

#[cache_put(list(name.clone()))]
async fn generic<T: Into<String> + Send>(name: String, value: T) -> Vec<String> {
    vec![name.clone(), value.into()]
}

fn is_send<T: Send>(future: T) -> T {
    future
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    Keylatch::in_memory().install().unwrap();
    is_send(rename(&Db, 1, "new")).await.unwrap();
    assert_eq!(user(&Db, 1).await.unwrap().name, "new");
    rename(&Db, 2, "new").await.unwrap();
    assert_eq!(user(&Db, 2).await.unwrap().name, "old");
    rename(&Db, 1, "").await.unwrap_err();
    assert_eq!(user(&Db, 1).await.unwrap().name, "new");
    is_send(create("ada".into())).await.unwrap();
    assert_eq!(user(&Db, 7).peek().await.unwrap().unwrap().name, "ada");
    is_send(generic("a".into(), "b")).await;
    assert_eq!(list("a".into()).await, ["a", "b"]);
}
