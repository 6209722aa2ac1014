//! `compress`: what is stored is smaller, whoever reads it, and bytes that lie about their length are a miss.

use std::sync::atomic::{AtomicU32, Ordering};

use keylatch::codec::Compression;
use keylatch::codec::envelope::{self, Envelope};
use keylatch::{CachedCall, Keylatch, cached};
use twox_hash::XxHash3_64;

use crate::support::{RedisServer, keylatch};

/// A text that is worth compressing, of that many bytes.
fn text(length: usize) -> String {
    "the quick brown fox jumps over the lazy dog; ".chars().cycle().take(length).collect()
}

static LOADS: AtomicU32 = AtomicU32::new(0);

#[cached(key = "lz4:{length}", ttl = "1h", compress = lz4, skip(keylatch), using = keylatch)]
async fn by_lz4(keylatch: &Keylatch, length: usize) -> String {
    text(length)
}

#[cached(
    key = "zstd:{length}", ttl = "1h", compress = zstd, compress_above = 16, codec = json, skip(keylatch), using = keylatch
)]
async fn by_zstd(keylatch: &Keylatch, length: usize) -> Option<String> {
    LOADS.fetch_add(1, Ordering::SeqCst);
    (length > 0).then(|| text(length))
}

/// The bytes at a key.
async fn stored(keylatch: &Keylatch, key: &str) -> Vec<u8> {
    let connection = keylatch.connection().expect("the test runs on Redis");
    redis::cmd("GET").arg(key).query_async(&mut connection.clone()).await.expect("the entry is there")
}

async fn answers_are_the_same(cache: &Keylatch) {
    for length in [10, 1024, 5000] {
        for _ in 0..2 {
            assert_eq!(by_lz4(cache, length).await, text(length));
            assert_eq!(by_zstd(cache, length).await, Some(text(length)));
        }
    }
    assert_eq!(by_zstd(cache, 0).await, None);
    assert_eq!(by_zstd(cache, 0).peek().await.unwrap(), Some(None));
    by_lz4(cache, 6000).put(text(7000)).await.unwrap();
    assert_eq!(by_lz4(cache, 6000).await, text(7000));
}

#[tokio::test]
async fn answers_are_the_same_on_the_embedded_store() {
    answers_are_the_same(&Keylatch::in_memory()).await;
}

#[tokio::test]
async fn what_is_stored_is_smaller() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    answers_are_the_same(&cache).await;
    for (key, compression, most) in [
        ("test:lz4:10", None, 200),
        ("test:lz4:5000", Some(Compression::Lz4), 500),
        ("test:lz4:6000", Some(Compression::Lz4), 500),
        ("test:zstd:10", None, 200),
        ("test:zstd:1024", Some(Compression::Zstd), 400),
        ("test:zstd:5000", Some(Compression::Zstd), 400),
        ("test:zstd:0", None, 200),
    ] {
        let bytes = stored(&cache, key).await;
        let envelope = Envelope::decode(&bytes).unwrap();
        assert_eq!(envelope.compression, compression, "{key}");
        assert!(bytes.len() < most, "{key}: {} bytes", bytes.len());
    }
}

#[tokio::test]
async fn a_reader_goes_by_the_entry_and_not_by_its_options() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let entry = || cache.entry("shared");
    let written = text(5000);
    for compression in [Some(Compression::Lz4), Some(Compression::Zstd), None] {
        let writer = compression.map_or_else(entry, |compression| entry().compress(compression));
        writer.put(written.clone()).await.unwrap();
        let bytes = stored(&cache, "test:shared").await;
        assert_eq!(Envelope::decode(&bytes).unwrap().compression, compression);
        for reader in [entry(), entry().compress(Compression::Lz4), entry().compress(Compression::Zstd)] {
            assert_eq!(reader.get::<String>().await.unwrap().as_ref(), Some(&written));
        }
    }
    let high = entry().compress(Compression::Lz4).compress_above(10_000);
    high.put(written.clone()).await.unwrap();
    assert_eq!(Envelope::decode(&stored(&cache, "test:shared").await).unwrap().compression, None);
}

/// Puts the checksum right, as whoever can write to the cache can.
fn forged(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut bytes);
    let sum = XxHash3_64::oneshot(&bytes[56..]).rotate_left(32) ^ XxHash3_64::oneshot(&bytes[..48]);
    bytes[48..56].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[tokio::test]
async fn bytes_that_lie_are_a_miss() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    by_zstd(&cache, 9000).await;
    let good = stored(&cache, "test:zstd:9000").await;
    let payload = good.len() - Envelope::decode(&good).unwrap().payload.len();
    let lies = [
        forged(good.clone(), |bytes| bytes[payload..payload + 4].copy_from_slice(&u32::MAX.to_le_bytes())),
        forged(good.clone(), |bytes| bytes[payload] ^= 1),
        forged(good.clone(), |bytes| bytes[payload + 4..].fill(0x55)),
        forged(good.clone(), |bytes| bytes.truncate(payload + 2)),
        // Compressed by another format than it says, and by two.
        forged(good.clone(), |bytes| bytes[2] ^= 6),
        forged(good.clone(), |bytes| bytes[2] |= 6),
    ];
    let errors = || {
        let stats = keylatch::stats();
        stats.iter().find(|stats| stats.name.ends_with("by_zstd")).map_or(0, |stats| stats.errors)
    };
    for lie in lies {
        let (loads, failed) = (LOADS.load(Ordering::SeqCst), errors());
        let mut connection = cache.connection().unwrap();
        let () =
            redis::cmd("SET").arg("test:zstd:9000").arg(&lie).query_async(&mut connection).await.unwrap();
        assert_eq!(by_zstd(&cache, 9000).peek().await.unwrap(), None);
        assert_eq!(by_zstd(&cache, 9000).await, Some(text(9000)), "the body answers");
        assert!(LOADS.load(Ordering::SeqCst) > loads);
        assert!(errors() > failed, "and somebody is told");
        let read = stored(&cache, "test:zstd:9000").await;
        assert_ne!(envelope::prefix(&read), envelope::prefix(&lie), "it is replaced");
    }
}
