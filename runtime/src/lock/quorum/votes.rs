//! What each master said, for people and for deciding how to go on.

use std::fmt;
use std::time::Duration;

use crate::error::Error;

/// What one of several independent masters had to say to a lock.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MasterVote {
    /// The master's address, without secrets.
    pub server: String,
    /// Whether it voted for the lock.
    pub vote: Result<(), NoVote>,
}

/// Why a master did not vote for a lock.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NoVote {
    /// Somebody else has its vote.
    Held,
    /// It did not answer in time. Should it have voted all the same, the vote is given back when the answer comes.
    Unanswered {
        /// How long it was waited for: four of its round trips, at least 5 ms, at most 50 ms or a tenth of the lock's `ttl`; a
        /// second at most for one that has never answered.
        waited: Duration,
    },
    /// It was restarted or emptied, and may have forgotten a vote that it gave. It votes again when no lock can be left of
    /// which it knew.
    Resting,
    /// A lock's life on it was not what its clock and ours make it: its clock was set, or the lock was removed or evicted.
    /// It votes again after one `ttl`.
    Distrusted,
    /// It could not be asked, or answered with an error.
    Failed(Error),
}

impl NoVote {
    /// Whether the master took part, and has given its vote to somebody else.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self, Self::Held)
    }
}

impl fmt::Display for NoVote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("held by somebody else"),
            Self::Unanswered { waited } => write!(f, "no answer within {waited:?}"),
            Self::Resting => f.write_str("restarted or emptied, and does not vote yet"),
            Self::Distrusted => {
                f.write_str("its clock was set or a lock was removed, and it does not vote yet")
            }
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Display for MasterVote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.vote {
            Ok(()) => write!(f, "{}: voted for it", self.server),
            Err(cause) => write!(f, "{}: {cause}", self.server),
        }
    }
}

/// Too few masters took part in a vote.
#[derive(Debug, Clone)]
pub(crate) struct NoQuorum {
    pub(crate) needed: usize,
    pub(crate) votes: Vec<MasterVote>,
}

impl std::error::Error for NoQuorum {}

impl fmt::Display for NoQuorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_votes(self.needed, &self.votes, f)
    }
}

/// As one line: how many votes are needed, and what each master said.
pub(crate) fn fmt_votes(needed: usize, votes: &[MasterVote], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{needed} votes of {} are needed", votes.len())?;
    votes.iter().try_for_each(|vote| write!(f, "; {vote}"))
}

/// A lock that a majority did not vote for.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) votes: Vec<MasterVote>,
    /// How many votes are needed.
    pub(crate) needed: usize,
    /// How long the lock may still be held by others, as the masters say that told so.
    pub(crate) left: Option<Duration>,
    /// How many were not waited for any longer, because the others had decided.
    pub(crate) open: usize,
}

impl Refusal {
    /// The votes for us took so long that too little would be left of the lock's life.
    pub(crate) fn were_late(&mut self, waited: Duration) {
        for vote in self.votes.iter_mut().filter(|vote| vote.vote.is_ok()) {
            vote.vote = Err(NoVote::Unanswered { waited });
        }
    }

    /// Whether enough masters take part: others have the lock, or votes were split. Otherwise there is no quorum to be had.
    pub(crate) fn is_contended(&self) -> bool {
        let takes_part = |vote: &&MasterVote| vote.vote.as_ref().err().is_none_or(NoVote::is_held);
        // Those that may still answer count as well: it is not for lack of them.
        self.votes.iter().filter(takes_part).count() + self.open >= self.needed
    }

    /// Whether there might have been a quorum, had masters been waited for longer.
    pub(crate) fn may_be_haste(&self) -> bool {
        let hopeful =
            |vote: &&MasterVote| matches!(vote.vote, Ok(()) | Err(NoVote::Held | NoVote::Unanswered { .. }));
        !self.is_contended() && self.votes.iter().filter(hopeful).count() >= self.needed
    }

    /// Whether some voted for us, and some for others: then nobody may have the lock.
    pub(crate) fn is_split(&self) -> bool {
        self.is_contended() && self.votes.iter().any(|vote| vote.vote.is_ok())
    }

    /// Whether a vote that is missing here may be one that we had in an earlier try, or that came after it was given up.
    pub(crate) fn is_held_by(&self, earlier: &Self) -> bool {
        let had = |vote: &MasterVote| matches!(vote.vote, Ok(()) | Err(NoVote::Unanswered { .. }));
        let is_held = |vote: &MasterVote| vote.vote.as_ref().err().is_some_and(NoVote::is_held);
        self.votes.iter().zip(&earlier.votes).any(|(now, before)| is_held(now) && had(before))
    }

    /// Whether votes were split, and we had the one that decides who tries again first: that of the lowest-numbered master
    /// that takes part.
    pub(crate) fn goes_first(&self) -> bool {
        let takes_part = |vote: &&MasterVote| vote.vote.as_ref().err().is_none_or(NoVote::is_held);
        self.votes.iter().find(takes_part).is_some_and(|lowest| lowest.vote.is_ok())
    }

    /// Whether masters do not vote that might be admitted to.
    pub(crate) fn has_resting(&self) -> bool {
        self.votes.iter().any(|vote| matches!(vote.vote, Err(NoVote::Resting)))
    }
}
