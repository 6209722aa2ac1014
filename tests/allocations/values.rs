//! What a value in the memory of a process costs: allocations of a hit, and bytes of an entry.

use std::hint::black_box;

use allocation_counter::measure;
use futures_util::FutureExt;
use keylatch::{Keylatch, cached};
use serde::{Deserialize, Serialize};

/// What an entry with a short key and a value of 32 bytes may cost in all.
const MOST_BYTES: i64 = 200;

/// About 200 bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    description: String,
    tags: Vec<String>,
}

impl Record {
    fn new(id: u64, tenant: &str) -> Self {
        Self {
            id,
            name: format!("product of {tenant}"),
            description: "d".repeat(120),
            tags: vec!["new".to_owned(), "green".to_owned()],
        }
    }
}

#[cached(key = "record:{id}:{tenant}", ttl = "1h", tags = ["records"], skip(cache), using = cache)]
async fn record(cache: &Keylatch, id: u64, tenant: &str) -> Record {
    Record::new(id, tenant)
}

#[cached(key = "e:{id}", ttl = "1h", skip(cache), using = cache)]
async fn small(cache: &Keylatch, id: u64) -> [u64; 4] {
    [id; 4]
}

/// The answer of a call that need not wait.
fn hit<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("it is in memory")
}

#[tokio::test]
async fn a_hit_allocates_what_cloning_its_value_does() {
    let cache = Keylatch::in_memory();
    for _ in 0..3 {
        record(&cache, 7, "tenant-17").await;
    }
    let before = local_hits("record");
    let hit = measure(|| {
        black_box(hit(record(&cache, 7, "tenant-17")));
    });
    assert_eq!(local_hits("record"), before + 1, "it was answered from memory");
    let value = Record::new(7, "tenant-17");
    let clone = measure(|| {
        black_box(value.clone());
    });
    let beyond = hit.count_total - clone.count_total;
    eprintln!(
        "a hit: {} allocations, {} of them for the clone; {beyond} beyond it",
        hit.count_total, clone.count_total
    );
    assert!(clone.count_total >= 4, "nothing is counted");
    assert_eq!(beyond, 0, "allocations beyond the clone");
}

/// As many as the tables are made for under this limit, so that their unused rest does not count.
const ENTRIES: u64 = 2_000;
const LIMIT: u64 = ENTRIES * 512;

/// What stays allocated when all entries have been stored, and asked for once more, which keeps them where that is done.
fn bytes_with(local_limit: u64) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut made = None;
    let cost = measure(|| {
        let settings = Keylatch::builder().memory_limit(64 << 20).local_memory_limit(local_limit);
        let cache = made.insert(settings.build().expect("good settings"));
        runtime.block_on(async {
            for id in (0..ENTRIES).chain(0..ENTRIES) {
                black_box(small(cache, id).await);
            }
        });
    });
    let cache = made.expect("it was made");
    let before = local_hits("small");
    for id in 0..ENTRIES {
        hit(small(&cache, id));
    }
    let kept = local_hits("small") - before;
    assert_eq!(kept, if local_limit > 0 { ENTRIES } else { 0 }, "what is in memory");
    cost.bytes_current
}

#[test]
fn an_entry_in_memory_costs_little_beside_its_value() {
    // Tables grow by their own chance, here and there: the one in the middle of several measurements.
    let mut measured: Vec<i64> = (0..9)
        .map(|_| (bytes_with(LIMIT) - bytes_with(0)) / i64::try_from(ENTRIES).expect("not so many"))
        .collect();
    measured.sort_unstable();
    let each = measured[measured.len() / 2];
    eprintln!("an entry with a key of 16 bytes and a value of 32: {each} bytes in all");
    assert!(each > 32 + 16, "it does not count what is kept: {each}");
    assert!(each <= MOST_BYTES, "{each} bytes an entry");
}

fn local_hits(function: &str) -> u64 {
    let stats = keylatch::stats();
    stats.iter().find(|stats| stats.name.ends_with(function)).map_or(0, |stats| stats.local_hits)
}
