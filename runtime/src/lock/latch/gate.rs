//! What can be seen of a latch, and what it means to somebody who waits. Pure.

/// One count, from being set to being over. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(pub(super) i64);

/// A latch that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) generation: Generation,
    /// The last count that is over.
    pub(super) completed: Generation,
}

/// What a look means to somebody who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Open,
    /// What was waited for is no longer there, and was not seen to be over.
    Gone,
    /// For this count; for any while there is none.
    Wait(Option<Generation>),
}

/// `waited_for`: the count that an earlier look found.
pub(super) fn judge(waited_for: Option<Generation>, gate: Option<Gate>) -> Judgement {
    match (waited_for, gate) {
        (None, None) => Judgement::Wait(None),
        (Some(_), None) => Judgement::Gone,
        (waited_for, Some(gate)) => {
            let waited_for = waited_for.unwrap_or(gate.generation);
            if gate.completed >= waited_for {
                Judgement::Open
            } else if gate.generation == waited_for {
                Judgement::Wait(Some(waited_for))
            } else {
                Judgement::Gone
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(generation: i64, completed: i64) -> Gate {
        Gate { generation: Generation(generation), completed: Generation(completed) }
    }

    #[test]
    fn a_count_that_is_over_opens_also_when_the_next_one_has_begun() {
        let third = Some(Generation(3));
        assert_eq!(judge(None, None), Judgement::Wait(None));
        assert_eq!(judge(None, Some(gate(3, 2))), Judgement::Wait(third));
        assert_eq!(judge(None, Some(gate(3, 3))), Judgement::Open);
        assert_eq!(judge(third, Some(gate(3, 2))), Judgement::Wait(third));
        assert_eq!(judge(third, Some(gate(3, 3))), Judgement::Open);
        assert_eq!(judge(third, Some(gate(5, 3))), Judgement::Open);
    }

    #[test]
    fn a_count_that_vanished_does_not_open() {
        let third = Some(Generation(3));
        assert_eq!(judge(third, None), Judgement::Gone);
        assert_eq!(judge(third, Some(gate(7, 0))), Judgement::Gone, "set again after it was lost");
    }
}
