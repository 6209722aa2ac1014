//! Whether a history can be that of a lock with fencing tokens.
//!
//! Every operation happened at one moment between its call and its answer. With a token for each acquisition the order of the
//! holders is given, so it suffices to place them one after the other as early as they can be: if that fails, no other
//! placement succeeds (the general search of Wing and Gong, and Lowe, is needed only where the order is unknown). A refusal
//! is always allowed, for leases outlive their holders; so is an acquisition whose answer was lost, for it may never have happened.

use std::collections::BTreeMap;

use super::history::{Acquired, Answer, History, Operation, What};

/// What no lock does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Two held it at once.
    Overlap,
    /// Two acquisitions have one token.
    SameToken,
    /// A later acquisition has a smaller token.
    Regressed,
    /// Somebody relied on a lock that it had not got, or not yet.
    NeverHeld,
    /// The lock was the holder's after it had been told that it was not, or had released it.
    Resurrected,
    /// Two acquisitions under one name, or answers before their calls.
    Malformed,
}

/// One acquisition that was granted.
#[derive(Debug)]
struct Hold<'a> {
    holder: &'a str,
    token: u64,
    /// Between these two moments it began.
    invoked: u64,
    returned: u64,
    /// It cannot have ended earlier.
    until: u64,
    /// It cannot have ended later.
    over: u64,
}

/// # Errors
/// What is wrong, and with whom.
pub(crate) fn check(history: &History) -> Result<(), (Fault, String)> {
    let mut by_holder = BTreeMap::<&str, Vec<&Operation>>::new();
    for operation in &history.0 {
        if operation.returned < operation.invoked {
            return Err((Fault::Malformed, operation.holder.clone()));
        }
        by_holder.entry(&operation.holder).or_default().push(operation);
    }
    let mut holds = Vec::new();
    for (holder, mut operations) in by_holder {
        operations.sort_by_key(|operation| operation.invoked);
        holds.extend(hold(holder, &operations).map_err(|fault| (fault, holder.to_owned()))?);
    }
    holds.sort_by_key(|hold| hold.token);
    in_order(&holds)
}

/// The hold that these operations of one holder tell of, if it got the lock.
fn hold<'a>(holder: &'a str, operations: &[&Operation]) -> Result<Option<Hold<'a>>, Fault> {
    let mut acquisitions = operations.iter().filter_map(|operation| match operation.what {
        What::Acquire(acquired) => Some((operation, acquired)),
        _ => None,
    });
    let (acquisition, acquired) = match (acquisitions.next(), acquisitions.next()) {
        (Some(one), None) => one,
        (Some(_), Some(_)) => return Err(Fault::Malformed),
        (None, _) => return Err(Fault::NeverHeld),
    };
    let others = operations.iter().filter(|operation| !matches!(operation.what, What::Acquire(_)));
    let Acquired::Token(token) = acquired else {
        let relies = |operation: &&&Operation| {
            matches!(operation.what, What::Rely | What::Extend(Answer::Yes) | What::Release(Answer::Yes))
        };
        return if others.into_iter().any(|operation| relies(&operation)) {
            Err(Fault::NeverHeld)
        } else {
            Ok(None)
        };
    };
    let (invoked, returned) = (acquisition.invoked, acquisition.returned);
    let mut hold = Hold { holder, token, invoked, returned, until: invoked, over: u64::MAX };
    let mut freed = false;
    for operation in others {
        if operation.invoked < returned {
            return Err(Fault::NeverHeld);
        }
        match operation.what {
            What::Rely | What::Extend(Answer::Yes) => hold.until = hold.until.max(operation.invoked),
            What::Release(Answer::Yes) if freed => return Err(Fault::Resurrected),
            What::Release(Answer::Yes) => {
                freed = true;
                hold.until = hold.until.max(operation.invoked);
                hold.over = hold.over.min(operation.returned);
            }
            What::Extend(Answer::No) | What::Release(Answer::No) => {
                hold.over = hold.over.min(operation.returned);
            }
            // Whether it is given back is open, and that it was not held any more afterwards is not known.
            What::Extend(Answer::Unknown) | What::Release(Answer::Unknown) | What::Acquire(_) => {}
        }
    }
    if hold.until > hold.over { Err(Fault::Resurrected) } else { Ok(Some(hold)) }
}

/// Places the holds in the order of their tokens, each as early as it can be.
fn in_order(holds: &[Hold<'_>]) -> Result<(), (Fault, String)> {
    if let Some(pair) = holds.windows(2).find(|pair| pair[0].token == pair[1].token) {
        return Err((Fault::SameToken, format!("{} and {}", pair[0].holder, pair[1].holder)));
    }
    let mut latest: Option<&Hold<'_>> = None;
    for hold in holds {
        if let Some(latest) = latest.filter(|latest| hold.returned < latest.invoked) {
            return Err((Fault::Regressed, format!("{} after {}", latest.holder, hold.holder)));
        }
        latest = latest.filter(|latest| latest.invoked > hold.invoked).or(Some(hold));
    }
    let (mut free_from, mut last) = (0, "");
    for hold in holds {
        let began = hold.invoked.max(free_from);
        if began > hold.returned || began > hold.over {
            return Err((Fault::Overlap, format!("{last} and {}", hold.holder)));
        }
        free_from = began.max(hold.until);
        last = hold.holder;
    }
    Ok(())
}
