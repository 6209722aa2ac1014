//! The contestants: the Redis client by hand, and cached functions.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keylatch::{Keylatch, cached};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use serde::{Deserialize, Serialize};

use crate::server::Server;

const HOT_KEYS: usize = 1_024;

/// About 200 bytes in `MessagePack`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    id: u64,
    name: String,
    description: String,
    stock: Option<u32>,
    tags: Vec<String>,
}

impl Record {
    fn new(id: u64) -> Self {
        Self {
            id,
            name: format!("product number {id}"),
            description: "d".repeat(90),
            stock: Some(17),
            tags: vec!["new".to_owned(), "green".to_owned()],
        }
    }
}

/// One multiplexed connection, used as a careful service would by hand.
#[derive(Clone)]
pub(crate) struct Bare {
    connection: MultiplexedConnection,
    unlock: redis::Script,
    encoded: Arc<Vec<u8>>,
    unique: Arc<AtomicU64>,
}

impl Bare {
    pub(crate) async fn new(server: &Server) -> Self {
        let client = redis::Client::open(server.url.as_str()).expect("a good URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("the server answers");
        let encoded = rmp_serde::to_vec_named(&Record::new(1)).expect("a record can be encoded");
        for index in 0..HOT_KEYS {
            let mut set = redis::cmd("SET");
            set.arg(format!("bare:{index}")).arg(&encoded);
            set.exec_async(&mut connection).await.expect("the server answers");
        }
        let unlock =
            "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
        Self {
            connection,
            unlock: redis::Script::new(unlock),
            encoded: Arc::new(encoded),
            unique: Arc::default(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> impl Future<Output = ()> + Send + use<> {
        get(self.connection.clone(), index)
    }

    pub(crate) fn get_and_set(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut connection = self.connection.clone();
        let id = self.unique.fetch_add(1, Ordering::Relaxed);
        async move {
            let key = format!("bare-miss:{id}");
            let mut get = redis::cmd("GET");
            get.arg(&key);
            let nothing: Option<Vec<u8>> =
                get.query_async(&mut connection).await.expect("the server answers");
            assert!(nothing.is_none());
            let bytes = rmp_serde::to_vec_named(&Record::new(id)).expect("a record can be encoded");
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(bytes).arg("PX").arg(60_000);
            set.exec_async(&mut connection).await.expect("the server answers");
        }
    }

    pub(crate) fn lock(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut connection, unlock) = (self.connection.clone(), self.unlock.clone());
        async move {
            let token = fastrand::u128(..).to_ne_bytes();
            let mut set = redis::cmd("SET");
            set.arg("bare-lock").arg(&token).arg("NX").arg("PX").arg(30_000);
            set.exec_async(&mut connection).await.expect("the server answers");
            let freed: u8 = unlock
                .key("bare-lock")
                .arg(&token)
                .invoke_async(&mut connection)
                .await
                .expect("the server answers");
            assert_eq!(freed, 1);
        }
    }

    pub(crate) fn decode(&self) -> impl Future<Output = ()> + Send + use<> {
        let encoded = Arc::clone(&self.encoded);
        async move {
            let record: Record = rmp_serde::from_slice(&encoded).expect("a record");
            std::hint::black_box(record);
        }
    }
}

/// Cached functions, on one store.
#[derive(Clone)]
pub(crate) struct Ours {
    cache: Keylatch,
    bare: Bare,
}

#[cached(key = "hot:{id}", ttl = "10m", tags = ["hot-records"], local = off, skip(cache), using = cache)]
async fn hot(cache: &Keylatch, id: usize) -> Record {
    Record::new(id as u64)
}

#[cached(key = "shared:{id}", ttl = "10m", tags = ["hot-records"], local = off, skip(cache), using = cache)]
async fn shared(cache: &Keylatch, id: usize) -> Arc<Record> {
    Arc::new(Record::new(id as u64))
}

#[cached(key = "miss:{id}", ttl = "1m", tags = ["hot-records"], local = off, skip(cache), using = cache)]
async fn miss(cache: &Keylatch, id: u64) -> Record {
    Record::new(id)
}

#[cached(key = "miss-watched:{id}", ttl = "1m", tags = ["hot-records"], skip(cache), using = cache)]
async fn miss_watched(cache: &Keylatch, id: u64) -> Record {
    Record::new(id)
}

#[cached(key = "near:{id}:{tenant}", ttl = "10m", tags = ["hot-records"], skip(cache), using = cache)]
async fn near(cache: &Keylatch, id: u64, tenant: &str) -> Record {
    Record::new(id + tenant.len() as u64)
}

#[cached(key = "near-shared:{id}:{tenant}", ttl = "10m", tags = ["hot-records"], skip(cache), using = cache)]
async fn near_shared(cache: &Keylatch, id: u64, tenant: &str) -> Arc<Record> {
    Arc::new(Record::new(id + tenant.len() as u64))
}

const TENANT: &str = "tenant-17";

/// The fastest cache in memory, used by hand: looked up by a borrowed key.
#[derive(Clone)]
pub(crate) struct ByHand {
    records: Arc<Cache<(u64, String), Record>>,
    shared: Arc<Cache<(u64, String), Arc<Record>>>,
}

#[derive(Hash)]
struct Borrowed<'a>(u64, &'a str);

impl Equivalent<(u64, String)> for Borrowed<'_> {
    fn equivalent(&self, key: &(u64, String)) -> bool {
        self.0 == key.0 && self.1 == key.1
    }
}

impl ByHand {
    pub(crate) fn new() -> Self {
        let (records, shared) = (Cache::new(4 * HOT_KEYS), Cache::new(4 * HOT_KEYS));
        for id in 0..HOT_KEYS as u64 {
            records.insert((id, TENANT.to_owned()), Record::new(id));
            shared.insert((id, TENANT.to_owned()), Arc::new(Record::new(id)));
        }
        Self { records: Arc::new(records), shared: Arc::new(shared) }
    }

    pub(crate) fn get(&self, index: usize) -> impl Future<Output = ()> + Send + use<> {
        let records = Arc::clone(&self.records);
        async move {
            std::hint::black_box(
                records.get(&Borrowed((index % HOT_KEYS) as u64, TENANT)).expect("it is there"),
            );
        }
    }

    pub(crate) fn get_shared(&self, index: usize) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            std::hint::black_box(
                shared.get(&Borrowed((index % HOT_KEYS) as u64, TENANT)).expect("it is there"),
            );
        }
    }
}

async fn get(mut connection: impl ConnectionLike, index: usize) {
    let mut get = redis::cmd("GET");
    get.arg(format!("bare:{}", index % HOT_KEYS));
    let bytes: Vec<u8> = get.query_async(&mut connection).await.expect("the server answers");
    let record: Record = rmp_serde::from_slice(&bytes).expect("a record");
    std::hint::black_box(record);
}

impl Ours {
    pub(crate) fn managed_get(&self, index: usize) -> impl Future<Output = ()> + Send + use<> {
        get(self.cache.connection().expect("it is on Redis"), index)
    }

    pub(crate) async fn on_redis(server: &Server, bare: Bare) -> Self {
        let cache = Keylatch::builder()
            .redis_url(server.url.as_str())
            .namespace("bench")
            .build()
            .expect("good settings");
        Self::warm(cache, bare).await
    }

    pub(crate) async fn embedded(bare: Bare) -> Self {
        Self::warm(Keylatch::in_memory(), bare).await
    }

    async fn warm(cache: Keylatch, bare: Bare) -> Self {
        for id in 0..HOT_KEYS {
            hot(&cache, id).await;
            shared(&cache, id).await;
            // The first call stores, the second finds, and later ones have it in memory.
            for _ in 0..2 {
                near(&cache, id as u64, TENANT).await;
                near_shared(&cache, id as u64, TENANT).await;
            }
        }
        Self { cache, bare }
    }

    pub(crate) fn hit(&self, index: usize) -> impl Future<Output = ()> + Send + use<> {
        let cache = self.cache.clone();
        async move {
            std::hint::black_box(hot(&cache, index % HOT_KEYS).await);
        }
    }

    pub(crate) fn hit_shared(&self, index: usize) -> impl Future<Output = ()> + Send + use<> {
        let cache = self.cache.clone();
        async move {
            std::hint::black_box(shared(&cache, index % HOT_KEYS).await);
        }
    }

    pub(crate) fn near(&self, index: usize) -> impl Future<Output = ()> + Send + use<> {
        let cache = self.cache.clone();
        async move {
            std::hint::black_box(near(&cache, (index % HOT_KEYS) as u64, TENANT).await);
        }
    }

    pub(crate) fn near_shared(&self, index: usize) -> impl Future<Output = ()> + Send + use<> {
        let cache = self.cache.clone();
        async move {
            std::hint::black_box(near_shared(&cache, (index % HOT_KEYS) as u64, TENANT).await);
        }
    }

    pub(crate) fn miss(&self) -> impl Future<Output = ()> + Send + use<> {
        let cache = self.cache.clone();
        let id = self.bare.unique.fetch_add(1, Ordering::Relaxed);
        async move {
            std::hint::black_box(miss(&cache, id).await);
        }
    }

    pub(crate) fn miss_watched(&self) -> impl Future<Output = ()> + Send + use<> {
        let cache = self.cache.clone();
        let id = self.bare.unique.fetch_add(1, Ordering::Relaxed);
        async move {
            std::hint::black_box(miss_watched(&cache, id).await);
        }
    }

    pub(crate) fn keylatch(&self) -> &Keylatch {
        &self.cache
    }
}
