//! The programmatic API: what the attributes do, for keys made at run time. On both stores.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keylatch::codec::{Codec, CodecError, Json};
use keylatch::{CachedCall, Function, Key, Keylatch, Pattern, cached};
use serde::{Deserialize, Serialize};

use crate::support::{RedisServer, keylatch};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Product {
    name: String,
}

static PRODUCTS: Function = Function::new("programmatic::products");

async fn every_way_to_invalidate(cache: Keylatch) {
    let runs = AtomicU32::new(0);
    let key = Key::of("product").part(&1).part("blue shoes");
    let entry =
        || cache.entry_of(&PRODUCTS, key.clone()).ttl(Duration::from_secs(60)).tag(Key::of("shop").part(&1));
    let load = async || {
        runs.fetch_add(1, Ordering::SeqCst);
        Product { name: "shoes".into() }
    };
    let mut expected = 0;
    for way in ["key", "tag", "pattern", "function", "everything", "entry"] {
        for _ in 0..2 {
            assert_eq!(entry().get_or_load(load).await.name, "shoes");
        }
        expected += 1;
        assert_eq!(runs.load(Ordering::SeqCst), expected, "{way}");
        match way {
            "key" => cache.invalidate(key.clone()).await,
            "tag" => cache.invalidate_tag(Key::of("shop").part(&1)).await,
            "pattern" => cache.invalidate_matching(&Pattern::of("product").part(&1).any()).await,
            "function" => cache.invalidate_function(&PRODUCTS).await,
            "everything" => cache.clear().await,
            _ => entry().invalidate().await,
        }
        .unwrap();
        assert_eq!(entry().get::<Product>().await.unwrap(), None, "{way}");
    }
}

async fn errors_are_not_stored(cache: Keylatch) {
    let entry = || cache.entry("fallible").ttl(Duration::from_secs(60));
    let failed: Result<u8, &str> = entry().try_get_or_load(async || Err("no")).await;
    assert_eq!(failed, Err("no"));
    let loaded: Result<u8, &str> = entry().try_get_or_load(async || Ok(1)).await;
    assert_eq!(loaded, Ok(1));
    let stored: Result<u8, &str> = entry().try_get_or_load(async || Err("not asked")).await;
    assert_eq!(stored, Ok(1));
    entry().put(2_u8).await.unwrap();
    assert_eq!(entry().get::<u8>().await.unwrap(), Some(2));
    // Another type under the same key is a miss, never garbage.
    assert_eq!(entry().get::<String>().await.unwrap(), None);
}

async fn locks_exclude(cache: Keylatch) {
    let lock = || cache.lock("programmatic").ttl(Duration::from_secs(5));
    let inside = AtomicU32::new(0);
    let body = async |_lease| {
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
        tokio::task::yield_now().await;
        inside.fetch_sub(1, Ordering::SeqCst);
    };
    let (a, b, c) = tokio::join!(lock().run(body), lock().run(body), lock().run(body));
    a.and(b).and(c).unwrap();
    let guard = lock().acquire().await.unwrap();
    assert!(guard.lease().remaining() > Duration::from_secs(4));
    guard.lease().check().unwrap();
    guard.release().await.unwrap();
}

#[tokio::test]
async fn on_the_embedded_store() {
    every_way_to_invalidate(Keylatch::in_memory()).await;
    errors_are_not_stored(Keylatch::in_memory()).await;
    locks_exclude(Keylatch::in_memory()).await;
}

#[tokio::test]
async fn on_redis() {
    let server = RedisServer::start();
    every_way_to_invalidate(keylatch(&server)).await;
    errors_are_not_stored(keylatch(&server)).await;
    locks_exclude(keylatch(&server)).await;
}

/// Stores numbers as text; not by serde.
struct Decimal;

impl Codec<u64> for Decimal {
    const ID: u8 = 200;

    fn encode(value: &u64, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<u64, CodecError> {
        let text = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        text.ok_or_else(|| CodecError::decode("decimal", "not a number"))
    }

    fn fingerprint() -> u64 {
        1
    }
}

#[cached(key = "decimal:{n}", ttl = "1m", codec = Decimal, skip(cache), using = cache)]
async fn decimal(cache: &Keylatch, n: u64) -> u64 {
    n * 1_000_001
}

#[cached(key = "json:{name}", ttl = "1m", codec = json, skip(cache), using = cache)]
async fn as_json(cache: &Keylatch, name: &str) -> Product {
    Product { name: name.to_owned() }
}

#[tokio::test]
async fn own_codecs_and_readable_values() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    assert_eq!(decimal(&cache, 3).await, 3_000_003);
    assert_eq!(decimal(&cache, 3).peek().await.unwrap(), Some(3_000_003));
    as_json(&cache, "apple").await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let read = async |connection: &mut redis::aio::MultiplexedConnection, key: &str| -> String {
        let bytes: Vec<u8> = redis::cmd("GET").arg(key).query_async(connection).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert!(read(&mut connection, "test:decimal:3").await.ends_with("3000003"));
    assert!(read(&mut connection, "test:json:apple").await.ends_with(r#"{"name":"apple"}"#));
    let entry = cache.entry("by-hand").codec::<Json>();
    entry.put(Product { name: "pear".into() }).await.unwrap();
    assert!(read(&mut connection, "test:by-hand").await.ends_with(r#"{"name":"pear"}"#));
}

#[tokio::test]
async fn memory_is_bounded() {
    let cache = Keylatch::builder().memory_limit(1 << 20).build().unwrap();
    for index in 0..1_000_u32 {
        cache.entry(Key::of("big").part(&index)).put("x".repeat(10_000)).await.unwrap();
    }
    let mut left = 0;
    for index in 0..1_000_u32 {
        left += u32::from(cache.entry(Key::of("big").part(&index)).get::<String>().await.unwrap().is_some());
    }
    assert!((10..=104).contains(&left), "{left} entries of 10 kB in 1 MiB");
}
