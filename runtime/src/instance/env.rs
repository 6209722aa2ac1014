//! The environment's variables, as settings.

use std::ffi::OsString;

use super::settings::names::{self, Origins, Setting, Writer};
use super::settings::text::{self, Parsed};
use super::settings::{Faults, Settings};

/// The environment of this process.
pub(super) fn process(variable: &'static str) -> Option<OsString> {
    std::env::var_os(variable)
}

/// Every variable, and the faults of those that cannot be read.
pub(super) fn read(lookup: impl Fn(&'static str) -> Option<OsString>) -> (Settings, Faults) {
    let mut settings = Settings { origins: Origins::by(Writer::Environment), ..Settings::default() };
    let mut env = Env { lookup, faults: settings.faults() };
    servers(&mut env, &mut settings);
    behaviour(&mut env, &mut settings);
    (settings, env.faults)
}

fn servers<L: Fn(&'static str) -> Option<OsString>>(env: &mut Env<L>, settings: &mut Settings) {
    env.text(&names::URL, &mut settings.url);
    env.text(&names::HOST, &mut settings.host);
    env.some(&names::PORT, &mut settings.port, text::number);
    env.text(&names::USERNAME, &mut settings.username);
    env.text(&names::PASSWORD, &mut settings.password);
    env.some(&names::DB, &mut settings.db, text::number);
    env.some(&names::TLS, &mut settings.tls, text::boolean);
    env.text(&names::TLS_CA_FILE, &mut settings.tls_ca_file);
    env.text(&names::TLS_CERT_FILE, &mut settings.tls_cert_file);
    env.text(&names::TLS_KEY_FILE, &mut settings.tls_key_file);
    env.some(&names::CLUSTER_MODE, &mut settings.cluster_mode, text::boolean);
    env.list(&names::CLUSTER_NODES, &mut settings.cluster_nodes);
    env.some(&names::READ_REPLICAS, &mut settings.read_replicas, text::boolean);
    env.list(&names::READ_REPLICA_URLS, &mut settings.read_replica_urls);
    env.list(&names::SENTINEL_URLS, &mut settings.sentinel_urls);
    env.text(&names::SENTINEL_MASTER, &mut settings.sentinel_master);
    env.list(&names::LOCK_URLS, &mut settings.lock_urls);
    env.some(&names::PROVIDER, &mut settings.provider, text::provider);
    env.text(&names::REST_URL, &mut settings.upstash_redis_rest_url);
    env.text(&names::REST_TOKEN, &mut settings.upstash_redis_rest_token);
}

fn behaviour<L: Fn(&'static str) -> Option<OsString>>(env: &mut Env<L>, settings: &mut Settings) {
    env.text(&names::KEY_PREFIX, &mut settings.key_prefix);
    env.one(&names::POOL_SIZE, &mut settings.pool_size, text::number);
    env.one(&names::CONNECT_TIMEOUT, &mut settings.connect_timeout, text::duration);
    env.one(&names::COMMAND_TIMEOUT, &mut settings.command_timeout, text::duration);
    env.one(&names::MAX_RETRIES, &mut settings.max_retries, text::number);
    env.one(&names::ENABLE_AUTO_PIPELINING, &mut settings.enable_auto_pipelining, text::boolean);
    env.some(&names::MAX_MEMORY, &mut settings.max_memory, text::size);
    env.one(&names::MEMORY_LIMIT, &mut settings.memory_limit, text::size);
    env.one(&names::LOCAL_MEMORY_LIMIT, &mut settings.local_memory_limit, text::size);
    env.one(&names::OUTAGE_MEMORY_LIMIT, &mut settings.outage_memory_limit, text::size);
    env.one(&names::AFTER_FAILOVER, &mut settings.after_failover, text::after_failover);
    env.one(&names::FAILOVER_REPLAY, &mut settings.failover_replay, text::duration);
    env.one(&names::CACHE_TIMEOUT, &mut settings.cache_timeout, text::duration);
    env.one(&names::LEASE, &mut settings.lease, text::duration);
    env.one(&names::LOCK_THREAD, &mut settings.lock_thread, text::boolean);
    env.one(&names::BREAKER_FAILURE_RATE, &mut settings.breaker_failure_rate, text::rate);
    env.one(&names::BREAKER_MINIMUM_CALLS, &mut settings.breaker_minimum_calls, text::number);
    env.one(&names::BREAKER_WINDOW, &mut settings.breaker_window, text::duration);
}

struct Env<L> {
    lookup: L,
    faults: Faults,
}

impl<L: Fn(&'static str) -> Option<OsString>> Env<L> {
    fn one<T>(&mut self, setting: &'static Setting, field: &mut T, parse: impl FnOnce(&str) -> Parsed<T>) {
        let Some(value) = (self.lookup)(setting.variable) else { return };
        let parsed = match value.to_str() {
            None => Err("not UTF-8"),
            Some(value) => match text::given(value) {
                None => return,
                Some(value) => parse(value),
            },
        };
        match parsed {
            Ok(parsed) => *field = parsed,
            Err(fault) => self.faults.value(setting, fault),
        }
    }

    fn some<T>(
        &mut self,
        setting: &'static Setting,
        field: &mut Option<T>,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) {
        self.one(setting, field, |text| parse(text).map(Some));
    }

    /// What is judged later.
    fn text<T: From<String>>(&mut self, setting: &'static Setting, field: &mut Option<T>) {
        self.some(setting, field, |text| Ok(text.to_owned().into()));
    }

    fn list(&mut self, setting: &'static Setting, field: &mut Vec<String>) {
        self.one(setting, field, |text| Ok(text::list(text)));
    }
}
