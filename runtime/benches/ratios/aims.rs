//! What each line of the table is meant to reach.

/// The beginning of a line's name, its tasks, and its aim: of the ratio unless something else is said.
const AIMS: &[(&str, usize, &str)] = &[
    ("hit on Redis, 200 bytes", 1, "≤ 1.06"),
    ("hit on Redis, 200 bytes", 64, "≥ 1.35"),
    ("hit on Redis, 200 bytes", 512, "≥ 2.0"),
    ("hit on Redis, 10 KB", 64, "≥ 1.0"),
    ("hit on Redis, 100 KB", 64, "≥ 0.95"),
    ("miss and store on Redis, against", 64, "≥ 0.9"),
    ("managed connection", 1, "+3 µs at most"),
    ("managed connection", 64, "≥ 0.95"),
    ("managed connection", 512, "≥ 0.95"),
    ("hit in memory, against", 1, "≤ 1.5"),
    ("hit in memory, `Arc<T>`, against", 1, "≤ 1.8"),
    ("hit in memory, `Arc<T>`, two threads", 2, "≥ 1.6"),
    ("1,000 callers of one cold key", 1_000, "1 run, 8 commands, 58 ms"),
    ("invalidate 1000000 entries by tag", 1, "the same time, below 500 µs"),
    ("invalidate a tenth of", 1, "≤ 1.1"),
    ("`PING` of others meanwhile", 1, "below 2 ms"),
    ("longest command of it", 1, "below 3 ms"),
    ("`#[with_lock]` on the embedded store", 1, "+1 µs at most"),
    ("lock and release on Redis", 1, "≤ 1.1"),
    ("lock with a fencing token", 1, "≤ 1.4"),
    ("lock and release on 5 masters, against", 1, "≤ 1.2"),
    ("32 tasks in 1, 1 ms under one lock: grants", 32, "≥ 1.0"),
    ("32 tasks in 4, 1 ms under one lock: grants", 32, "≥ 1.0"),
    ("32 tasks in 4, 200 µs under one lock: grants", 32, "1,500 a second"),
    ("32 tasks in 1, 1 ms under one lock: longest wait", 32, "ours ≤ 3"),
    ("32 tasks in 4, 1 ms under one lock: longest wait", 32, "ours ≤ 3"),
    ("32 tasks in 1, 1 ms under one lock: commands", 32, "ours ≤ 8"),
    ("32 tasks in 4, 1 ms under one lock: commands", 32, "ours ≤ 8"),
    ("32 tasks in 4, 200 µs under one lock: commands", 32, "ours ≤ 8"),
    ("10000 locks held", 1, "below 5 %"),
];

/// The aim of a line, if it has one.
pub(crate) fn of(what: &str, tasks: usize) -> &'static str {
    let aim = AIMS.iter().find(|(start, of, _)| what.starts_with(start) && *of == tasks);
    aim.map_or("", |(_, _, aim)| aim)
}
