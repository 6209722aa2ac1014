//! Ratios to the bare client and the bare codec, measured side by side in one run.
//!
//! Each line lets both contestants take turns, a batch of calls at a time, and shows the median of the ratios of neighbours, which
//! other work on the machine disturbs far less than absolute figures. `KEYLATCH_BENCH_SECONDS` is the time of one round (default 0.25).
//!
//! `cargo bench -p keylatch --bench ratios`; with ` -- managed` behind it, only the lines with that word.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod aims;
mod contest;
mod contestants;
mod locks;
mod quorum;
mod server;
mod sizes;
mod stampede;
mod sweep;
mod tags;

use contest::{Contest, Unit};
use contestants::{Bare, ByHand, Ours};
use quorum::Masters;
use server::Server;

fn main() {
    if locks::child() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let server = Server::start().await;
    let bare = Bare::new(&server).await;
    let ours = Ours::on_redis(&server, bare.clone()).await;
    let embedded = Ours::embedded(bare.clone()).await;

    println!("| what | tasks | bare | Keylatch | ratio | aim |");
    println!("|---|---:|---:|---:|---:|---|");
    for tasks in [1, 64, 512] {
        let unit = if tasks == 1 { Unit::Latency } else { Unit::Throughput };
        let contest = Contest { tasks, unit };
        contest
            .run("hit on Redis, 200 bytes, one tag | `GET` + decode", |i| bare.get(i), |i| ours.hit(i))
            .await;
    }
    for tasks in [1, 64, 512] {
        let unit = if tasks == 1 { Unit::Latency } else { Unit::Throughput };
        let contest = Contest { tasks, unit };
        contest
            .run("miss and store on Redis | `GET`, encode, `SET PX`", |_| bare.get_and_set(), |_| ours.miss())
            .await;
    }
    let several = Contest { tasks: 64, unit: Unit::Throughput };
    several
        .run(
            "miss and store on Redis, watched for the process's memory | `GET`, encode, `SET PX`",
            |_| bare.get_and_set(),
            |_| ours.miss_watched(),
        )
        .await;
    for tasks in [1, 64, 512] {
        let unit = if tasks == 1 { Unit::Latency } else { Unit::Throughput };
        let contest = Contest { tasks, unit };
        contest
            .run("managed connection, `GET` + decode | bare client", |i| bare.get(i), |i| ours.managed_get(i))
            .await;
    }
    let alone = Contest { tasks: 1, unit: Unit::Latency };
    let masters = Masters::start(5).await;
    alone
        .run(
            "lock and release on 5 masters | `SET NX PX`, compare-and-delete on all at once",
            |_| masters.bare(),
            |_| masters.lock(false),
        )
        .await;
    alone
        .run(
            "lock and release on 5 masters, with fencing | `SET NX PX`, compare-and-delete on all at once",
            |_| masters.bare(),
            |_| masters.lock(true),
        )
        .await;
    drop(masters);
    let by_hand = ByHand::new();
    alone.run("hit in memory | `quick_cache` by a borrowed key", |i| by_hand.get(i), |i| ours.near(i)).await;
    alone
        .run(
            "hit in memory, `Arc<T>` | `quick_cache` by a borrowed key",
            |i| by_hand.get_shared(i),
            |i| ours.near_shared(i),
        )
        .await;
    alone.run("hit on the embedded store | decode alone", |_| bare.decode(), |i| embedded.hit(i)).await;
    alone.run("hit, `Arc<T>`, embedded | decode alone", |_| bare.decode(), |i| embedded.hit_shared(i)).await;
    locks::run(&server, &bare, &ours, &embedded).await;
    sizes::run().await;
    stampede::run().await;
    tags::run().await;
    sweep::run().await;
}
