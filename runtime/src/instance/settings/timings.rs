//! Numbers and times: whether they make sense, and in the form that the rest uses.

use std::time::Duration;

use super::Settings;
use super::fault::Faults;
use super::names;
use crate::connection::{BreakerLimits, Limits};
use crate::instance::{Rules, Tuning};

/// More connections to one server than this are a mistake in the number.
const MOST_CONNECTIONS: usize = 1024;

pub(super) fn check(settings: &Settings, faults: &mut Faults) {
    for (time, setting) in [
        (settings.connect_timeout, &names::CONNECT_TIMEOUT),
        (settings.command_timeout, &names::COMMAND_TIMEOUT),
        (settings.failover_replay, &names::FAILOVER_REPLAY),
        (settings.cache_timeout, &names::CACHE_TIMEOUT),
        (settings.lease, &names::LEASE),
        (settings.breaker_window, &names::BREAKER_WINDOW),
    ] {
        if time < Duration::from_millis(1) {
            faults.value(setting, "less than a millisecond");
        }
    }
    if !(1..=MOST_CONNECTIONS).contains(&settings.pool_size) {
        faults.value(&names::POOL_SIZE, format_args!("not a number from 1 to {MOST_CONNECTIONS}"));
    }
    if settings.memory_limit == 0 {
        faults.value(&names::MEMORY_LIMIT, "not a size above zero");
    }
    if settings.max_memory == Some(0) {
        faults.value(&names::MAX_MEMORY, "not a size above zero; leave it out to ask for no limit");
    }
    if !(settings.breaker_failure_rate > 0.0 && settings.breaker_failure_rate <= 1.0) {
        faults.value(&names::BREAKER_FAILURE_RATE, "not above 0 and at most 1");
    }
    if settings.breaker_minimum_calls == 0 {
        faults.value(&names::BREAKER_MINIMUM_CALLS, "not a number above zero");
    }
}

pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        pool_size: settings.pool_size,
        connect_timeout: settings.connect_timeout,
        command_timeout: settings.command_timeout,
        patience: settings.cache_timeout,
        max_retries: settings.max_retries,
        merge_reads: settings.enable_auto_pipelining,
        max_memory: settings.max_memory,
        breaker: BreakerLimits {
            failure_rate: settings.breaker_failure_rate,
            minimum_calls: settings.breaker_minimum_calls,
            window: settings.breaker_window,
        },
    }
}

pub(super) fn tuning(settings: &Settings, rules: Rules) -> Tuning {
    Tuning {
        cache_timeout: settings.cache_timeout,
        lease_life: settings.lease,
        local_memory_limit: settings.local_memory_limit,
        outage_memory_limit: settings.outage_memory_limit,
        failover_replay: settings.failover_replay,
        rules,
    }
}

impl Default for Tuning {
    fn default() -> Self {
        tuning(&Settings::default(), Rules::default())
    }
}
