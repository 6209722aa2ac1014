//! 32 tasks that want one lock, against the fastest queue that Redis has: a list with one token.

use std::time::Duration;

use super::queue::{Queue, Waits, Work, crowd};
use crate::contest::{is_wanted, median, round_time, row};
use crate::server::Server;

const ROUNDS: usize = 3;

pub(super) async fn run() {
    let server = Server::start().await;
    for (work, processes) in [(Work::Millisecond, 1), (Work::Millisecond, 4), (Work::Short, 4)] {
        let length = if work == Work::Short { "200 µs" } else { "1 ms" };
        let name = format!("32 tasks in {processes}, {length} under one lock");
        if is_wanted(&name) {
            compare(&server, &name, work, processes).await;
        }
    }
}

async fn compare(server: &Server, name: &str, work: Work, processes: usize) {
    // Eight times a round of the others: everybody is to have a few turns.
    let length = (round_time() * 8).max(Duration::from_millis(300));
    let (mut list, mut ours) = (Vec::new(), Vec::new());
    let mut commands = Vec::new();
    for _ in 0..ROUNDS {
        list.push(crowd(&server.url, Queue::TokenList, work, processes, length).await);
        server.reset_statistics().await;
        let waits = crowd(&server.url, Queue::Keylatch, work, processes, length).await;
        commands.push(server.calls().await / waits.grants());
        ours.push(waits);
    }
    let ratios = list.iter().zip(&ours).map(|(list, ours)| ours.a_second() / list.a_second());
    let of = |waits: &[Waits], what: fn(&Waits) -> f64| median(waits.iter().map(what).collect());
    let line = |what: &str, list: String, ours: String, ratio: String| {
        row(&format!("{name}: {what}"), 32, &list, &ours, &ratio);
    };
    line(
        "grants a second, against a token list (`BLPOP`)",
        format!("{:.0}", of(&list, Waits::a_second)),
        format!("{:.0}", of(&ours, Waits::a_second)),
        format!("{:.2}", median(ratios.collect())),
    );
    let (uneven_list, uneven_ours) = (of(&list, Waits::unevenness), of(&ours, Waits::unevenness));
    line(
        "longest wait over the median",
        format!("{uneven_list:.1}"),
        format!("{uneven_ours:.1}"),
        format!("{:.2}", uneven_ours / uneven_list),
    );
    line("commands in Redis a grant", "2.0".to_owned(), format!("{:.1}", median(commands)), String::new());
}
