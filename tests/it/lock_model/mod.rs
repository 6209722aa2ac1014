//! D1: the lock over three masters as a model, searched for everything it can do.
//!
//! Two models, for what they promise is of two kinds. [`tokens`] has no clock: tokens keep their order whenever leases end.
//! [`leases`] has clocks: nobody relies on a lock that another has had since. Every rule that the protocol needs is left out
//! once; the search must then find what it prevents.

mod leases;
mod search;
mod tokens;

use search::{Model, search};

use crate::support::length;

/// Two clients are searched wholly; of three, this many states.
const BOUND: usize = 150_000;

fn holds<M: Model>(what: &str, model: &M, limit: usize) -> bool {
    let began = std::time::Instant::now();
    let searched = search(model, limit);
    eprintln!("{what}: {} states in {:?}, whole: {}", searched.states, began.elapsed(), searched.whole);
    assert!(searched.broken.is_none(), "{what}: {}", searched.broken.unwrap_or_default());
    searched.whole
}

/// What takes minutes is left to the long runs.
fn soaks() -> bool {
    length::long().is_some()
}

fn is_caught<M: Model>(what: &str, model: &M) {
    let searched = search(model, 2_000_000);
    let broken =
        searched.broken.unwrap_or_else(|| panic!("{what}: {} states, and nothing found", searched.states));
    eprintln!("{what}: {} after {} states", broken.lines().next().unwrap_or_default(), searched.states);
}

mod of_tokens {
    use super::tokens::{Mutant, Tokens};
    use super::{BOUND, holds, is_caught, soaks};

    /// A clock far behind the counters, and one ahead of them.
    const CLOCKS: &[u8] = &[0, 4];

    const fn protocol<const CLIENTS: usize>() -> Tokens<CLIENTS> {
        Tokens { mutant: Mutant::None, proposals: &[0], idle: false, amnesia: 0, others: 0, repeats: 0 }
    }

    #[test]
    fn of_any_clocks_are_in_order() {
        let model = Tokens::<2> { proposals: CLOCKS, ..protocol() };
        assert!(holds("tokens, 2 clients, clocks", &model, usize::MAX));
    }

    #[test]
    fn of_counters_that_go_idle_are_in_order() {
        let model = Tokens::<2> { idle: true, others: 1, ..protocol() };
        assert!(holds("tokens, 2 clients, idle counters", &model, usize::MAX));
    }

    #[test]
    fn of_a_node_with_amnesia_are_in_order() {
        let model = Tokens::<2> { amnesia: 1, ..protocol() };
        assert!(holds("tokens, 2 clients, amnesia", &model, usize::MAX));
    }

    #[test]
    fn of_requests_that_are_repeated_are_in_order() {
        let model = Tokens::<2> { repeats: 1, ..protocol() };
        assert!(holds("tokens, 2 clients, repeats", &model, usize::MAX));
    }

    #[test]
    fn of_three_clients_are_in_order() {
        let model =
            Tokens::<3> { proposals: CLOCKS, idle: true, amnesia: 1, others: 1, repeats: 1, ..protocol() };
        holds("tokens, 3 clients, everything", &model, BOUND);
    }

    /// All at once takes minutes, and is left to the long runs.
    #[test]
    fn of_everything_at_once_are_in_order() {
        let model = Tokens::<2> { proposals: CLOCKS, idle: true, amnesia: 1, ..protocol() };
        let limit = if soaks() { usize::MAX } else { BOUND };
        assert_eq!(holds("tokens, 2 clients, everything", &model, limit), soaks());
    }

    #[test]
    fn each_mutant_is_caught() {
        let plain = [Mutant::Max, Mutant::MaxPlusOne, Mutant::UnownedRaise, Mutant::LargerConfirms];
        for mutant in plain {
            is_caught(&format!("{mutant:?}"), &Tokens::<2> { mutant, ..protocol() });
        }
        let mutant = Mutant::ForgetsWithTheCounter;
        is_caught("ForgetsWithTheCounter", &Tokens::<2> { mutant, idle: true, ..protocol() });
        for mutant in [Mutant::VotesWithoutMark, Mutant::RejoinsAtOnce, Mutant::RejoinsFromOne] {
            is_caught(&format!("{mutant:?}"), &Tokens::<2> { mutant, amnesia: 1, ..protocol() });
        }
    }
}

mod of_leases {
    use super::leases::{Leases, Mutant};
    use super::{BOUND, holds, is_caught, soaks};

    const fn protocol<const CLIENTS: usize>() -> Leases<CLIENTS> {
        Leases { mutant: Mutant::None, ttl: 4, extensions: 1, restarts: 0, slips: 0 }
    }

    #[test]
    fn clients_exclude_each_other() {
        assert!(holds("leases, 2 clients, ttl 4", &protocol::<2>(), usize::MAX));
    }

    #[test]
    fn with_clocks_that_slip_clients_exclude_each_other() {
        let model = Leases::<2> { ttl: 3, slips: 1, ..protocol() };
        assert!(holds("leases, 2 clients, slipping clocks", &model, usize::MAX));
    }

    #[test]
    fn with_a_node_that_restarts_clients_exclude_each_other() {
        let model = Leases::<2> { ttl: 3, restarts: 1, ..protocol() };
        assert!(holds("leases, 2 clients, a restart", &model, usize::MAX));
    }

    #[test]
    fn three_clients_exclude_each_other() {
        let model = Leases::<3> { restarts: 1, slips: 1, ..protocol() };
        holds("leases, 3 clients, everything", &model, BOUND);
    }

    /// All at once takes minutes, and is left to the long runs.
    #[test]
    fn with_everything_at_once_clients_exclude_each_other() {
        let model = Leases::<2> { restarts: 1, slips: 1, ..protocol() };
        let limit = if soaks() { usize::MAX } else { BOUND };
        assert_eq!(holds("leases, 2 clients, everything", &model, limit), soaks());
    }

    #[test]
    fn each_mutant_is_caught() {
        for mutant in [Mutant::CountsFromTheAnswer, Mutant::ExtendsAnothers, Mutant::RepairsAfterTheEnd] {
            is_caught(&format!("{mutant:?}"), &Leases::<2> { mutant, ..protocol() });
        }
        let mutant = Mutant::NoMargin;
        is_caught("NoMargin", &Leases::<2> { mutant, slips: 1, extensions: 0, ..protocol() });
        let mutant = Mutant::VotesAfterRestart;
        is_caught("VotesAfterRestart", &Leases::<2> { mutant, restarts: 1, extensions: 0, ..protocol() });
    }
}
