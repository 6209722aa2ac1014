//! Every event and span, in one place: `error` for what loses data or locks, `warn` for what a person should look at,
//! `info` for changes of state, `debug` for misses and loads, `trace` for hits. Keys are shown, values never.

use std::time::Duration;

use crate::error::Error;
use crate::key::Key;

pub(crate) fn connected(server: &str, tracking: bool) {
    tracing::info!(server, tracking, "connected");
}

/// The server cannot track what this instance reads, and would keep.
pub(crate) fn untold(server: &str) {
    tracing::warn!(
        server,
        "the server does not tell of changes, so values are not kept in this process's memory, unless `local` says for \
         how long at most"
    );
}

pub(crate) fn connect_failed(error: &Error) {
    tracing::warn!(%error, "cannot connect; cached functions answer from their bodies, locks are refused");
}

pub(crate) fn unfamiliar(server: &str) {
    tracing::warn!(
        server,
        "the server was restarted or replaced; the last invalidations are repeated before it is read"
    );
}

/// Whether it was restarted or replaced cannot be told.
pub(crate) fn nameless(server: &str, distrusts: bool) {
    let consequence = if distrusts {
        "nothing is stored, for `after_failover = distrust` needs it"
    } else {
        "the last invalidations are repeated whenever a connection is made"
    };
    tracing::warn!(server, consequence, "the server does not tell its run id: allow `INFO` to this user");
}

pub(crate) fn breaker_opened(server: &str, cause: &Error) {
    tracing::warn!(server, %cause, "the server is not asked any more until a probe is answered");
}

pub(crate) fn breaker_half_open(server: &str) {
    tracing::debug!(server, "the server is probed");
}

pub(crate) fn breaker_reopened(server: &str, cause: &Error) {
    tracing::debug!(server, %cause, "the probe was not answered");
}

pub(crate) fn breaker_closed(server: &str) {
    tracing::info!(server, "the server is asked again");
}

pub(crate) fn max_memory_refused(server: &str, code: &str) {
    tracing::warn!(
        server,
        code,
        "the server refused to limit its memory; set `maxmemory` there, or leave REDIS_MAX_MEMORY out"
    );
}

pub(crate) fn sheltered() {
    tracing::warn!(
        "the server is down: what is computed meanwhile is kept in this process, and thrown away after the outage"
    );
}

/// An idle connection that should tell of changes does not answer.
pub(crate) fn silent(server: &str) {
    tracing::warn!(server, "the connection is silent; what this process has at hand is read again");
}

pub(crate) fn disconnected(server: &str) {
    tracing::warn!(server, "connection lost; reconnecting at the next command");
}

pub(crate) fn embedded_by_default() {
    tracing::warn!(
        "no Redis is configured: entries and locks live in this process alone; set REDIS_URL, or install \
         `Keylatch::in_memory()` to say that this is meant"
    );
}

pub(crate) fn unusable(error: &Error) {
    tracing::error!(%error, "the environment's configuration is bad; cached functions run their bodies, locks are refused");
}

pub(crate) fn namespace_by_default(namespace: &str) {
    tracing::warn!(
        namespace,
        "no key prefix is configured; set REDIS_KEY_PREFIX so that applications never share entries"
    );
}

pub(crate) fn hit(function: &str, key: &Key) {
    tracing::trace!(function, %key, "hit");
}

pub(crate) fn load_span(function: &str, key: &Key) -> tracing::Span {
    tracing::debug_span!("keylatch.load", function, %key)
}

pub(crate) fn batch_span(function: &str, missing: usize, asked: usize) -> tracing::Span {
    tracing::debug_span!("keylatch.load", function, missing, asked)
}

pub(crate) fn batch_failed(function: &str, records: usize, error: &Error) {
    tracing::warn!(function, records, %error, "the cache failed; the function answers from its body");
}

pub(crate) fn batch_mismatched(function: &str, ids: usize) {
    tracing::warn!(
        function,
        ids,
        "the body returned more or fewer records than it was given ids, so nobody can tell which is whose; none is stored"
    );
}

pub(crate) fn stored(function: &str, key: &Key, took: Duration) {
    tracing::debug!(function, %key, ?took, "loaded and stored");
}

pub(crate) fn not_stored(function: &str, key: &Key, reason: &'static str) {
    tracing::debug!(function, %key, reason, "loaded, not stored");
}

pub(crate) fn put_unprepared(function: &str, key: &Key, error: &Error) {
    tracing::warn!(function, %key, %error, "the entry could not be read ahead of the write; it is invalidated after it");
}

pub(crate) fn put_refused(function: &str, key: &Key) {
    tracing::debug!(function, %key, "not put, because the entry was changed or held meanwhile, or the value declined; invalidated");
}

pub(crate) fn put_failed(function: &str, key: &Key, error: &Error) {
    tracing::warn!(function, %key, %error, "the value of a write could not be put; the entry is invalidated");
}

pub(crate) fn refreshed(function: &str, key: &Key) {
    tracing::debug!(function, %key, "refreshed behind a call");
}

pub(crate) fn refresh_failed(function: &str, key: &Key, reason: &'static str) {
    tracing::warn!(function, %key, reason, "refreshing behind a call failed; the old entry answers until it ends");
}

pub(crate) fn renewal_failed(function: &str, key: &Key, error: &Error) {
    tracing::warn!(function, %key, %error, "the cache failed while an entry was to be renewed");
}

pub(crate) fn stale(function: &str, key: &Key, reason: &'static str) {
    tracing::warn!(function, %key, reason, "an entry past its end answers, because it could not be renewed");
}

pub(crate) fn slide_failed(function: &str, key: &Key, error: &Error) {
    tracing::warn!(function, %key, %error, "the entry's life could not be pushed forward");
}

pub(crate) fn undecodable(function: &str, key: &Key, reason: &dyn std::fmt::Display) {
    tracing::warn!(function, %key, %reason, "the stored entry cannot be read; loading anew");
}

pub(crate) fn unencodable(function: &str, key: &Key, reason: &dyn std::fmt::Display) {
    tracing::warn!(function, %key, %reason, "the value cannot be encoded; it is not stored");
}

pub(crate) fn cache_failed(function: &str, key: &Key, error: &Error) {
    tracing::warn!(function, %key, %error, "the cache failed; the function answers from its body");
}

pub(crate) fn foreign_dependency(function: &str) {
    tracing::warn!(
        function,
        "a cached function of another `Keylatch` was called inside; its invalidations cannot be seen here, so the outer \
         result is not stored"
    );
}

pub(crate) fn invalidated(count: usize) {
    tracing::debug!(count, "invalidated");
}

pub(crate) fn invalidation_kept(error: &Error, pending: usize) {
    tracing::warn!(%error, pending, "invalidation failed; kept and repeated before the next read");
}

pub(crate) fn invalidations_repeated(count: usize) {
    tracing::info!(count, "kept invalidations repeated");
}

pub(crate) fn hold_failed(error: &Error) {
    tracing::warn!(%error, "entries could not be held ahead of the write; they are invalidated after it");
}

/// How long it took is only asked if somebody listens.
pub(crate) fn lock_acquired(key: &Key, waited: impl FnOnce() -> Duration) {
    tracing::debug!(%key, waited = ?waited(), "locked");
}

/// It is given back, or known to be lost, after it was `held` for so long.
pub(crate) fn lock_ended(key: &Key, held: impl FnOnce() -> Duration) {
    tracing::debug!(%key, held = ?held(), "unlocked");
}

/// Its holder was dropped, so nobody waits for the outcome.
pub(crate) fn lock_dropped(key: &Key) {
    tracing::debug!(%key, "a lock was dropped without a release; it is given back all the same");
}

/// `margin` was left of the lease when it was extended.
pub(crate) fn lock_extended(key: &Key, margin: Duration) {
    tracing::trace!(%key, ?margin, "lock extended");
}

pub(crate) fn lock_lost(key: &Key) {
    tracing::error!(%key, "lock lost");
}

/// The master would have ended it in `left`, and its holder relied on it for longer.
pub(crate) fn lock_cut_short(key: &Key, left: Duration, relied_on: Duration) {
    tracing::error!(
        %key,
        ?left,
        ?relied_on,
        "lock lost: the server would have ended it sooner than was asked for; was its clock set?"
    );
}

/// Locks are kept where they may be evicted.
pub(crate) fn locks_may_be_evicted(warning: &str) {
    tracing::warn!("{warning}");
}

pub(crate) fn unlock_failed(key: &Key, error: &Error) {
    tracing::warn!(%key, %error, "unlock failed; the lock expires by itself");
}

pub(crate) fn lock_not_given_back(key: &Key) {
    tracing::warn!(%key, "a lock could not be given back on every master; what is left expires by itself");
}

pub(crate) fn lock_master_distrusted(server: &str) {
    tracing::warn!(
        server,
        "a lock's life on this master is not what its clock and ours make it: its clock was set, or the lock was removed or \
         evicted; it does not vote for the life of one lock"
    );
}

pub(crate) fn lock_master_admitted(server: &str, is_a_guess: bool) {
    if is_a_guess {
        tracing::error!(
            server,
            "more lock masters have lost their counters than the others can vouch for; fencing tokens go on from the wall clock"
        );
    } else {
        tracing::info!(server, "this lock master votes from now on");
    }
}
