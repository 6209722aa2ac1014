//! Histories of locks and their checker (D6): it refuses what no lock can have done, so that the tests on real servers may ask
//! it whether what they have recorded can be.

mod checker;
mod history;

pub(crate) use checker::check;
pub(crate) use history::{Acquired, Answer, History, Operation, What};

const BAD: &str = include_str!("bad.txt");
const GOOD: &str = include_str!("good.txt");

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn what_no_lock_does_is_refused() {
    let mut faults = Vec::new();
    let mut count = 0;
    for line in lines(BAD) {
        let (fault, rest) = line.split_once(" | ").expect("a fault first");
        let (name, operations) = rest.split_once(" | ").expect("a name and operations");
        let found = check(&History::parse(operations)).err().map(|(fault, _)| format!("{fault:?}"));
        if found.as_deref() != Some(fault) {
            faults.push(format!("{name}: {found:?} instead of {fault}"));
        }
        count += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count >= 50, "{count}");
}

#[test]
fn what_a_lock_may_do_is_accepted() {
    for line in lines(GOOD) {
        let (name, operations) = line.split_once(" |").expect("a name and operations");
        check(&History::parse(operations)).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
    }
}

/// An exact answer, not a cautious one: whatever the checker says of small random histories, a search through all orders says.
#[test]
fn a_search_through_all_orders_agrees() {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut history = History::default();
        for (holder, token) in ["A", "B", "C"].into_iter().zip([1, 2, 3]) {
            // About one after the other, so that both answers are frequent.
            let mut times: Vec<u64> = (0..4).map(|_| 3 * token + rng.u64(0..5)).collect();
            times.sort_unstable();
            let mut add = |invoked, returned, what| {
                history.0.push(Operation { holder: holder.to_owned(), invoked, returned, what });
            };
            add(times[0], times[1], What::Acquire(Acquired::Token(token)));
            let last = [What::Rely, What::Extend(Answer::Yes), What::Release(Answer::Yes)][rng.usize(0..3)];
            add(times[2], if last == What::Rely { times[2] } else { times[3] }, last);
        }
        let possible = by_all_moments(&history, 0, 0);
        assert_eq!(check(&history).is_ok(), possible, "{history:?}");
        if possible { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} and {refused}");
}

/// Tries every moment for every begin and end of the holds, in the order of their tokens.
fn by_all_moments(history: &History, hold: usize, free_from: u64) -> bool {
    let Some([acquired, last]) = history.0.get(hold * 2..hold * 2 + 2) else { return true };
    (acquired.invoked.max(free_from)..=acquired.returned).any(|began| {
        // A release happens once; who relies or extends may hold it for longer than that.
        let latest = if matches!(last.what, What::Release(_)) { last.returned } else { 20 };
        (last.invoked.max(began)..=latest).any(|ended| by_all_moments(history, hold + 1, ended))
    })
}
