//! `#[cached]` through the public crate: one test an option or a kind of function, on the embedded store.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keylatch::{CachedCall, KeyPart, Keylatch, cached};
use serde::{Deserialize, Serialize};

/// Counts the runs of a body, and is the `Keylatch` that its functions use.
struct Db {
    keylatch: Keylatch,
    runs: AtomicU32,
}

impl Db {
    fn new() -> Self {
        Self { keylatch: Keylatch::in_memory(), runs: AtomicU32::new(0) }
    }

    fn run(&self) -> u32 {
        self.runs.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Product {
    id: u64,
    name: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such row")]
struct NoRow;

#[cached(key = "product:{id}", ttl = "1h", skip(db), using = db.keylatch)]
async fn product(db: &Db, id: u64) -> Result<Product, NoRow> {
    db.run();
    if id == 0 {
        return Err(NoRow);
    }
    Ok(Product { id, name: format!("product {id}") })
}

#[tokio::test]
async fn a_result_is_cached_when_it_is_ok() {
    let db = Db::new();
    let first = product(&db, 7).await.unwrap();
    assert_eq!(product(&db, 7).await.unwrap(), first);
    assert_eq!(db.runs(), 1);
    assert_eq!(product(&db, 0).await, Err(NoRow));
    assert_eq!(product(&db, 0).await, Err(NoRow));
    assert_eq!(db.runs(), 3);
}

#[tokio::test]
async fn a_handle_names_its_entry() {
    let db = Db::new();
    assert_eq!(product(&db, 7).key().to_string(), "keylatch:product:7");
    assert_eq!(product(&db, 7).peek().await.unwrap(), None);
    assert_eq!(product(&db, 7).time_to_live().await.unwrap(), None);

    product(&db, 7).put(Product { id: 7, name: "put".into() }).await.unwrap();
    assert_eq!(product(&db, 7).await.unwrap().name, "put");
    assert_eq!(db.runs(), 0);
    let left = product(&db, 7).time_to_live().await.unwrap().unwrap();
    assert!(left <= Duration::from_secs(3600) && left > Duration::from_secs(3590), "{left:?}");

    assert_eq!(product(&db, 7).bypass().await.unwrap().name, "product 7");
    assert_eq!(product(&db, 7).await.unwrap().name, "put");
    assert_eq!(product(&db, 7).refresh().await.unwrap().name, "product 7");
    assert_eq!(product(&db, 7).await.unwrap().name, "product 7");
    assert_eq!(db.runs(), 2);

    product(&db, 7).invalidate().await.unwrap();
    assert_eq!(product(&db, 7).peek().await.unwrap(), None);
    product(&db, 7).await.unwrap();
    product(&db, 8).await.unwrap();
    product(&db, 9).invalidate_all().await.unwrap();
    assert_eq!(product(&db, 7).peek().await.unwrap(), None);
    assert_eq!(product(&db, 8).peek().await.unwrap(), None);
}

#[tokio::test]
async fn a_handle_is_a_future_like_any_other() {
    let db = Arc::new(Db::new());
    let (a, b) = tokio::join!(product(&db, 1), product(&db, 2));
    assert_eq!((a.unwrap().id, b.unwrap().id), (1, 2));
    let spawned = tokio::spawn({
        let db = Arc::clone(&db);
        async move { product(&db, 3).await }
    });
    assert_eq!(spawned.await.unwrap().unwrap().id, 3);
    let timed = tokio::time::timeout(Duration::from_secs(5), product(&db, 4)).await;
    assert_eq!(timed.unwrap().unwrap().id, 4);
}

#[cached(key = "maybe:{id}", ttl = "1h", negative_ttl = "1m", skip(db), using = db.keylatch)]
async fn maybe(db: &Db, id: u64) -> Option<Product> {
    db.run();
    (id > 0).then(|| Product { id, name: String::new() })
}

#[cached(key = "never-absent:{id}", ttl = "1h", negative_ttl = off, skip(db), using = db.keylatch)]
async fn never_absent(db: &Db, id: u64) -> Result<Option<u64>, NoRow> {
    db.run();
    Ok((id > 0).then_some(id))
}

#[tokio::test(start_paused = true)]
async fn an_absence_has_its_own_life() {
    let db = Db::new();
    assert_eq!(maybe(&db, 0).await, None);
    assert_eq!(maybe(&db, 0).await, None);
    assert_eq!(db.runs(), 1);
    assert_eq!(maybe(&db, 0).peek().await.unwrap(), Some(None));
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(maybe(&db, 0).await, None);
    assert_eq!(db.runs(), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(maybe(&db, 0).await, None);
    assert_eq!(db.runs(), 2);
    assert_eq!(never_absent(&db, 0).await, Ok(None));
    assert_eq!(never_absent(&db, 0).await, Ok(None));
    assert_eq!(db.runs(), 4);
    assert_eq!(never_absent(&db, 1).await, Ok(Some(1)));
    assert_eq!(never_absent(&db, 1).await, Ok(Some(1)));
    assert_eq!(db.runs(), 5);
}

#[cached(key = "ttl", ttl = "90s", skip(db), using = db.keylatch)]
async fn for_ninety_seconds(db: &Db) -> u32 {
    db.run()
}

#[cached(key = "own:{seconds}", ttl_from = Duration::from_secs(*result), skip(db), using = db.keylatch)]
async fn for_its_own_time(db: &Db, seconds: u64) -> u64 {
    db.run();
    seconds
}

#[cached(key = "even:{n}", ttl = "1h", cache_if = |n: &u32| n.is_multiple_of(2), skip(db), using = db.keylatch)]
async fn only_even(db: &Db, n: u32) -> u32 {
    db.run();
    n
}

#[tokio::test(start_paused = true)]
async fn lives_are_exact_on_the_embedded_store() {
    let db = Db::new();
    assert_eq!(for_ninety_seconds(&db).await, 1);
    tokio::time::advance(Duration::from_millis(89_999)).await;
    assert_eq!(for_ninety_seconds(&db).await, 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(for_ninety_seconds(&db).await, 2);

    for_its_own_time(&db, 10).await;
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_eq!(for_its_own_time(&db, 10).peek().await.unwrap(), Some(10));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(for_its_own_time(&db, 10).peek().await.unwrap(), None);
    for_its_own_time(&db, 0).await;
    assert_eq!(for_its_own_time(&db, 0).peek().await.unwrap(), None, "no life at all");

    only_even(&db, 1).await;
    only_even(&db, 2).await;
    assert_eq!(only_even(&db, 1).peek().await.unwrap(), None);
    assert_eq!(only_even(&db, 2).peek().await.unwrap(), Some(2));
}

#[cached(key = "jitter:{id}", ttl = "100s", jitter = "20%", skip(db), using = db.keylatch)]
async fn with_jitter(db: &Db, id: u32) -> u32 {
    db.run();
    id
}

#[tokio::test(start_paused = true)]
async fn jitter_only_shortens() {
    let db = Db::new();
    let mut lives = Vec::new();
    for id in 0..200 {
        with_jitter(&db, id).await;
        lives.push(with_jitter(&db, id).time_to_live().await.unwrap().unwrap().as_secs_f64());
    }
    assert!(lives.iter().all(|life| (80.0..=100.0).contains(life)), "{lives:?}");
    let spread = lives.iter().copied().fold(0.0, f64::max) - lives.iter().copied().fold(100.0, f64::min);
    assert!(spread > 10.0, "{spread}");
}

struct Shop {
    db: Db,
    tenant: String,
}

impl Shop {
    #[cached(key = "cart:{self.tenant}:{user}", ttl = "10m", tags = ["tenant:{self.tenant}"], using = self.db.keylatch)]
    async fn cart(&self, user: u64) -> Vec<u64> {
        self.db.run();
        vec![user]
    }

    #[cached(ttl = "10m", skip(db), using = db.keylatch)]
    async fn associated(db: &Db, id: u64) -> u64 {
        db.run();
        id
    }
}

struct OtherShop;

impl OtherShop {
    #[cached(ttl = "10m", skip(db), using = db.keylatch)]
    async fn associated(db: &Db, id: u64) -> u64 {
        db.run();
        id + 100
    }
}

#[tokio::test]
async fn methods_and_associated_functions() {
    let shop = Shop { db: Db::new(), tenant: "a:b".into() };
    assert_eq!(shop.cart(1).await, [1]);
    assert_eq!(shop.cart(1).await, [1]);
    assert_eq!(shop.db.runs(), 1);
    assert_eq!(shop.cart(1).key().to_string(), "keylatch:cart:a%3Ab:1");
    shop.db.keylatch.invalidate_tag(keylatch::Key::of("tenant").part("a:b")).await.unwrap();
    assert_eq!(shop.cart(1).peek().await.unwrap(), None);
    // Functions of one name on two types of one module never meet, though nobody named a key.
    assert_eq!(Shop::associated(&shop.db, 1).await, 1);
    assert_eq!(OtherShop::associated(&shop.db, 1).await, 101);
}

mod one {
    #[keylatch::cached(ttl = "10m", skip(db), using = db.keylatch)]
    pub(super) async fn same(db: &super::Db) -> String {
        db.run();
        "one".into()
    }
}

mod two {
    #[keylatch::cached(ttl = "10m", skip(db), using = db.keylatch)]
    pub(super) async fn same(db: &super::Db) -> String {
        db.run();
        "two".into()
    }
}

trait Repository {
    async fn name(&self, id: u64) -> Result<String, NoRow>;
}

impl Repository for Db {
    #[cached(key = "name:{id}", ttl = "1m", skip(self), using = self.keylatch)]
    async fn name(&self, id: u64) -> Result<String, NoRow> {
        self.run();
        Ok(format!("name {id}"))
    }
}

async fn through_the_trait(repository: &impl Repository) -> String {
    repository.name(5).await.unwrap()
}

#[tokio::test]
async fn trait_impls() {
    let db = Db::new();
    assert_eq!(through_the_trait(&db).await, "name 5");
    assert_eq!(through_the_trait(&db).await, "name 5");
    assert_eq!(db.runs(), 1);
}

#[cached(key = "joined:{parts}:{last}", ttl = "1m", skip(db), using = db.keylatch)]
async fn joined<P: KeyPart + AsRef<str>>(db: &Db, parts: &[P], last: impl KeyPart + Debug) -> String {
    db.run();
    parts.iter().map(AsRef::as_ref).collect::<String>() + &format!("{last:?}")
}

trait Table {
    const NAME: &'static str;
}
struct Users;
struct Orders;
impl Table for Users {
    const NAME: &'static str = "users";
}
impl Table for Orders {
    const NAME: &'static str = "orders";
}

#[cached(key = "row:{id}", ttl = "1m", skip(db), using = db.keylatch)]
async fn row<T: Table>(db: &Db, id: u64) -> String {
    db.run();
    format!("{} {id}", T::NAME)
}

#[cached(key = "sum:{a}:{b}", ttl = "1m", skip(db), using = db.keylatch)]
async fn sum(db: &Db, (a, b): (u64, u64)) -> u64 {
    db.run();
    a + b
}

#[cached(key = "shared:{id}", ttl = "1m", skip(db), using = db.keylatch)]
async fn shared(db: &Db, id: u64) -> Arc<Product> {
    db.run();
    Arc::new(Product { id, name: String::new() })
}

#[tokio::test]
async fn generics_patterns_and_pointers() {
    let db = Db::new();
    assert_eq!(joined(&db, &["a", "b"], 'x').await, "ab'x'");
    assert_eq!(joined(&db, &["a".to_owned(), "b".to_owned()], 'x').await, "ab'x'");
    assert_eq!(joined(&db, &["ab"], 'x').await, "ab'x'");
    assert_eq!(db.runs(), 2);
    // The body depends on the type though no argument does.
    assert_eq!(row::<Users>(&db, 1).await, "users 1");
    assert_eq!(row::<Orders>(&db, 1).await, "orders 1");
    assert_eq!(sum(&db, (1, 2)).await, 3);
    assert_eq!(sum(&db, (1, 2)).await, 3);
    assert_eq!(db.runs(), 5);
    assert_eq!(shared(&db, 1).await, shared(&db, 1).await);
    assert_eq!(db.runs(), 6);
}

#[derive(Debug, Clone, PartialEq, Eq, KeyPart)]
struct UserId(u64);

#[derive(Debug, KeyPart)]
struct Page {
    number: u32,
    size: u32,
}

#[derive(Debug, KeyPart)]
enum Sort {
    ByName,
    ByDistance { from: UserId, metres: u32 },
}

#[cached(ttl = "1m", skip(db), using = db.keylatch)]
async fn listing(db: &Db, user: &UserId, page: Page, sort: &Sort) -> String {
    db.run();
    format!("{user:?} {page:?} {sort:?}")
}

#[tokio::test]
async fn derived_key_parts() {
    let db = Db::new();
    let sort = Sort::ByDistance { from: UserId(9), metres: 5 };
    let call = listing(&db, &UserId(7), Page { number: 1, size: 20 }, &sort);
    assert_eq!(call.key().to_string(), "keylatch:it::cached::listing:7:(1,20,):ByDistance(9,5,)");
    let call = listing(&db, &UserId(7), Page { number: 1, size: 20 }, &Sort::ByName);
    assert_eq!(call.key().to_string(), "keylatch:it::cached::listing:7:(1,20,):ByName");
}

#[cached(key = "inner:{id}", ttl = "1m", tags = ["inners"], skip(db), using = db.keylatch)]
async fn inner(db: &Db, id: u64) -> u64 {
    id + u64::from(db.run())
}

#[cached(key = "middle:{id}", ttl = "1m", skip(db), using = db.keylatch)]
async fn middle(db: &Db, id: u64) -> u64 {
    inner(db, id).await
}

#[cached(key = "outer:{id}", ttl = "1m", skip(db), using = db.keylatch)]
async fn outer(db: &Db, id: u64) -> u64 {
    middle(db, id).await
}

#[cached(key = "aloof:{id}", ttl = "1m", track = off, skip(db), using = db.keylatch)]
async fn aloof(db: &Db, id: u64) -> u64 {
    inner(db, id).await
}

#[tokio::test]
async fn what_a_body_calls_takes_it_along() {
    let db = Db::new();
    let first = outer(&db, 1).await;
    assert_eq!(outer(&db, 1).await, first);
    // Two levels down, by key; from a hit of the inner entry, too.
    inner(&db, 1).invalidate().await.unwrap();
    assert_eq!(outer(&db, 1).peek().await.unwrap(), None);
    let second = outer(&db, 1).await;
    assert_ne!(first, second);
    // By a tag that only the innermost function names.
    db.keylatch.invalidate_tag("inners").await.unwrap();
    assert_eq!(outer(&db, 1).peek().await.unwrap(), None);
    // By a new value.
    outer(&db, 1).await;
    inner(&db, 1).put(1000).await.unwrap();
    assert_eq!(outer(&db, 1).await, 1000);
    let refreshed = inner(&db, 1).refresh().await;
    assert_eq!(outer(&db, 1).await, refreshed);
    // Not those of other arguments, and not who opted out.
    let (other, aloof_first) = (outer(&db, 2).await, aloof(&db, 1).await);
    inner(&db, 1).invalidate().await.unwrap();
    assert_eq!(outer(&db, 2).peek().await.unwrap(), Some(other));
    assert_eq!(aloof(&db, 1).peek().await.unwrap(), Some(aloof_first));
}

#[tokio::test]
async fn modules_do_not_meet() {
    let db = Db::new();
    assert_eq!(one::same(&db).await, "one");
    assert_eq!(two::same(&db).await, "two");
}

#[cached(key = "version:{id}", ttl = "1m", version = 1, skip(db), using = db.keylatch)]
async fn version_1(db: &Db, id: u64) -> u64 {
    db.run();
    id
}

#[cached(key = "version:{id}", ttl = "1m", version = 2, skip(db), using = db.keylatch)]
async fn version_2(db: &Db, id: u64) -> u64 {
    db.run();
    id * 2
}

#[tokio::test]
async fn another_version_is_a_miss() {
    let db = Db::new();
    assert_eq!(version_1(&db, 4).await, 4);
    assert_eq!(version_2(&db, 4).await, 8);
    assert_eq!(version_1(&db, 4).await, 4);
    assert_eq!(db.runs(), 3);
}

#[cached(key = "slow:{id}", ttl = "1m", load_timeout = "50ms", skip(db), using = db.keylatch)]
async fn slow(db: &Db, id: u64) -> u64 {
    let millis = if db.run() == 1 { 200 } else { 0 };
    tokio::time::sleep(Duration::from_millis(millis)).await;
    id
}

#[tokio::test(start_paused = true)]
async fn a_load_past_its_time_lets_others_go_on() {
    let db = Arc::new(Db::new());
    let first = tokio::spawn({
        let db = Arc::clone(&db);
        async move { slow(&db, 1).await }
    });
    while db.runs() == 0 {
        tokio::task::yield_now().await;
    }
    let began = tokio::time::Instant::now();
    assert_eq!(slow(&db, 1).await, 1);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(40) && waited < Duration::from_millis(150), "{waited:?}");
    assert_eq!(first.await.unwrap(), 1, "the late body still answers its own caller");
}

#[tokio::test]
async fn statistics_count_what_happened() {
    let db = Db::new();
    let before = counted();
    for _ in 0..3 {
        counting(&db, 1).await;
    }
    counting(&db, 1).invalidate().await.unwrap();
    let after = counted();
    assert_eq!(after.0 - before.0, 2, "hits");
    assert_eq!(after.1 - before.1, 1, "misses");
    assert_eq!(after.2 - before.2, 1, "loads");
    assert!(after.3 > before.3, "invalidations");
}

#[cached(key = "counting:{id}", ttl = "1m", skip(db), using = db.keylatch)]
async fn counting(db: &Db, id: u64) -> u64 {
    db.run();
    id
}

fn counted() -> (u64, u64, u64, u64) {
    let all = keylatch::stats();
    let function = all.iter().find(|function| function.name == "it::cached::counting");
    function.map_or((0, 0, 0, 0), |f| (f.hits, f.misses, f.loads, f.invalidations))
}

#[test]
fn a_handle_is_small_and_does_not_grow_with_depth() {
    let db = Db::new();
    let (flat, deep) = (size_of_val(&inner(&db, 1)), size_of_val(&outer(&db, 1)));
    assert!(flat < 5_000, "{flat} bytes");
    assert_eq!(flat, deep, "three levels of calls weigh as much as one");
}
