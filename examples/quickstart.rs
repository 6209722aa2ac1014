//! The quickstart: a shop whose slow queries are cached and whose stock is guarded, on the embedded store, or on the Redis
//! that `REDIS_URL` names.
//!
//! `cargo run -p keylatch-examples --example quickstart`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keylatch::{CachedCall, LockError, cache_invalidate, cached, with_lock};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Product {
    name: String,
    cents: u32,
}

#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error("there is no such product")]
    NoSuchProduct,
    #[error("sold out")]
    SoldOut,
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Every call names its entry: `product(db, 1, 7)` is a future, and `product(db, 1, 7).invalidate()` removes what it stored.
#[cached(key = "quickstart:product:{shop}:{id}", ttl = "10m", tags = ["quickstart:shop:{shop}"], skip(db))]
async fn product(db: &Db, shop: u64, id: u64) -> Result<Product, ShopError> {
    db.query(shop, id).await
}

/// The call in the attribute is checked by the compiler: another name, or an argument too few, does not compile.
#[cache_invalidate(product(db, shop, id))]
async fn rename(db: &Db, shop: u64, id: u64, name: &str) -> Result<(), ShopError> {
    db.update(shop, id, |product| name.clone_into(&mut product.name))
}

/// All products of the shop at once, in constant time.
#[cache_invalidate(tags = ["quickstart:shop:{shop}"])]
async fn raise_prices(db: &Db, shop: u64) -> Result<(), ShopError> {
    db.update(shop, 7, |product| product.cents += 100)
}

/// One at a time per product, over all processes. Read, wait and write would otherwise sell more than there is.
#[with_lock(key = "quickstart:stock:{sku}", ttl = "30s", wait = "20s")]
async fn reserve(db: &Db, sku: &str) -> Result<u32, ShopError> {
    let left = db.stock.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let left = left.checked_sub(1).ok_or(ShopError::SoldOut)?;
    db.stock.store(left, Ordering::SeqCst);
    Ok(left)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .compact()
        .init();
    let store = if std::env::var_os("REDIS_URL").is_some() { "Redis" } else { "the embedded store" };
    println!("Keylatch on {store}\n");
    let db = Arc::new(Db::new());
    let mut table = Table::new(&db);

    // An earlier run may have left its entries on a real Redis.
    product(&db, 1, 7).invalidate_all().await?;

    let miss = table.row("first call: a miss", 1, async || product(&db, 1, 7).await.map(|p| p.name)).await?;
    table.row("second call: a hit", 0, async || product(&db, 1, 7).await.map(|p| p.name)).await?;
    table
        .row("rename, which invalidates the call", 0, async || {
            rename(&db, 1, 7, "Green apple").await.map(|()| "done")
        })
        .await?;
    let fresh = table
        .row("call after it: the new name", 1, async || product(&db, 1, 7).await.map(|p| p.name))
        .await?;
    table.row("raise prices, by tag", 0, async || raise_prices(&db, 1).await.map(|()| "done")).await?;
    table.row("call after it: the new price", 1, async || product(&db, 1, 7).await.map(|p| p.cents)).await?;
    table.row("1,000 callers of one cold entry", 1, async || stampede(&db).await).await?;
    let sold = table.row("20 tasks behind a lock, 15 in stock", 0, async || sell_out(&db).await).await?;

    println!("\nwhat the statistics counted:");
    for function in keylatch::stats() {
        println!(
            "  {:<24} {:>5} hits {:>3} misses {:>3} loads {:>5} waits {:>2} invalidations",
            function.name,
            function.hits,
            function.misses,
            function.loads,
            function.waits,
            function.invalidations
        );
    }
    let kept = table.kept && (miss.as_str(), fresh.as_str(), sold) == ("Apple", "Green apple", 15);
    println!("\n{}", if kept { "every promise was kept" } else { "A PROMISE WAS BROKEN" });
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn stampede(db: &Arc<Db>) -> Result<String, ShopError> {
    let mut callers = JoinSet::new();
    for _ in 0..1_000 {
        let db = Arc::clone(db);
        callers.spawn(async move { product(&db, 1, 8).await });
    }
    callers
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map(|all| format!("{} answers", all.len()))
}

async fn sell_out(db: &Arc<Db>) -> Result<usize, ShopError> {
    let mut buyers = JoinSet::new();
    for _ in 0..20 {
        let db = Arc::clone(db);
        buyers.spawn(async move { reserve(&db, "apple").await });
    }
    let mut sold = 0;
    for outcome in buyers.join_all().await {
        match outcome {
            Ok(_left) => sold += 1,
            Err(ShopError::SoldOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sold)
}

/// A database in memory whose queries take 50 ms.
struct Db {
    products: Mutex<HashMap<(u64, u64), Product>>,
    queries: AtomicU32,
    stock: AtomicU32,
}

impl Db {
    fn new() -> Self {
        let products = [(7, "Apple"), (8, "Pear")]
            .map(|(id, name)| ((1, id), Product { name: name.to_owned(), cents: 120 }));
        Self { products: Mutex::new(products.into()), queries: AtomicU32::new(0), stock: AtomicU32::new(15) }
    }

    async fn query(&self, shop: u64, id: u64) -> Result<Product, ShopError> {
        self.queries.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let products = self.products.lock().expect("no query panics");
        products.get(&(shop, id)).cloned().ok_or(ShopError::NoSuchProduct)
    }

    fn update(&self, shop: u64, id: u64, change: impl FnOnce(&mut Product)) -> Result<(), ShopError> {
        let mut products = self.products.lock().expect("no query panics");
        products.get_mut(&(shop, id)).map(change).ok_or(ShopError::NoSuchProduct)
    }
}

/// What was done, how long it took, how many queries it cost, what came of it.
struct Table<'a> {
    db: &'a Db,
    kept: bool,
}

impl<'a> Table<'a> {
    fn new(db: &'a Db) -> Self {
        println!("{:<38} {:>10} {:>8}  result", "", "time", "queries");
        Self { db, kept: true }
    }

    /// Runs one step; more or fewer queries than expected break the promise.
    async fn row<T: std::fmt::Display>(
        &mut self,
        name: &str,
        expected_queries: u32,
        step: impl AsyncFnOnce() -> Result<T, ShopError>,
    ) -> Result<T, ShopError> {
        let (before, began) = (self.db.queries.load(Ordering::SeqCst), Instant::now());
        let result = step().await?;
        let (took, queries) = (began.elapsed(), self.db.queries.load(Ordering::SeqCst) - before);
        self.kept &= queries == expected_queries;
        println!("{name:<38} {:>7.2} ms {queries:>8}  {result}", took.as_secs_f64() * 1_000.0);
        Ok(result)
    }
}
