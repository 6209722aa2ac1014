//! What each setting is called, by variable, field and method, and what a good value looks like.

/// One setting as its writers know it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::instance) struct Setting {
    pub(in crate::instance) variable: &'static str,
    pub(super) field: &'static str,
    method: &'static str,
    pub(super) example: &'static str,
}

impl Setting {
    /// A setting whose method on the builder has its field's name.
    const fn new(variable: &'static str, field: &'static str, example: &'static str) -> Self {
        Self { variable, field, method: field, example }
    }

    const fn by(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }
}

/// Who wrote the settings, so that an error names them as their writer did.
#[derive(Debug, Clone, Default)]
pub(in crate::instance) struct Origins {
    writer: Writer,
    /// What the builder changed afterwards.
    built: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::instance) enum Writer {
    Environment,
    /// The fields of [`Settings`](super::Settings), by code or a loader.
    #[default]
    Fields,
    Builder,
}

impl Origins {
    pub(in crate::instance) fn by(writer: Writer) -> Self {
        Self { writer, built: Vec::new() }
    }

    pub(in crate::instance) fn built(&mut self, setting: &'static Setting) {
        if self.writer != Writer::Builder {
            self.built.push(setting.field);
        }
    }

    pub(super) fn name(&self, setting: &'static Setting) -> &'static str {
        match self.writer {
            _ if self.built.contains(&setting.field) => setting.method,
            Writer::Environment => setting.variable,
            Writer::Fields => setting.field,
            Writer::Builder => setting.method,
        }
    }
}

macro_rules! settings {
    ($($name:ident = $setting:expr;)*) => {
        $(pub(in crate::instance) static $name: Setting = $setting;)*

        #[cfg(test)]
        pub(super) static ALL: &[&Setting] = &[$(&$name),*];
    };
}

const A_SERVER: &str = "redis://user:password@localhost:6379/0";
const SERVERS: &str = "redis-1:6379,redis-2:6379,redis-3:6379";
const SECONDS: &str = "5s";

settings! {
    URL = Setting::new("REDIS_URL", "url", A_SERVER).by("redis_url");
    HOST = Setting::new("REDIS_HOST", "host", "localhost");
    PORT = Setting::new("REDIS_PORT", "port", "6379");
    USERNAME = Setting::new("REDIS_USERNAME", "username", "shop");
    PASSWORD = Setting::new("REDIS_PASSWORD", "password", "the password as it is");
    DB = Setting::new("REDIS_DB", "db", "0");
    TLS = Setting::new("REDIS_TLS", "tls", "true");
    TLS_CA_FILE = Setting::new("REDIS_TLS_CA_FILE", "tls_ca_file", "/etc/redis/ca.pem");
    TLS_CERT_FILE = Setting::new("REDIS_TLS_CERT_FILE", "tls_cert_file", "/etc/redis/client.pem");
    TLS_KEY_FILE = Setting::new("REDIS_TLS_KEY_FILE", "tls_key_file", "/etc/redis/client.key");
    KEY_PREFIX = Setting::new("REDIS_KEY_PREFIX", "key_prefix", "shop-production").by("namespace");
    POOL_SIZE = Setting::new("REDIS_POOL_SIZE", "pool_size", "5");
    CLUSTER_MODE = Setting::new("REDIS_CLUSTER_MODE", "cluster_mode", "true").by("cluster");
    CLUSTER_NODES = Setting::new("REDIS_CLUSTER_NODES", "cluster_nodes", SERVERS).by("cluster");
    READ_REPLICAS = Setting::new("REDIS_READ_REPLICAS", "read_replicas", "true");
    READ_REPLICA_URLS =
        Setting::new("REDIS_READ_REPLICA_URLS", "read_replica_urls", "redis://replica-1:6379,redis://replica-2:6379");
    SENTINEL_URLS =
        Setting::new("REDIS_SENTINEL_URLS", "sentinel_urls", "redis://sentinel-1:26379,redis://sentinel-2:26379")
            .by("sentinel");
    SENTINEL_MASTER = Setting::new("REDIS_SENTINEL_MASTER", "sentinel_master", "mymaster").by("sentinel");
    LOCK_URLS =
        Setting::new("REDIS_LOCK_URLS", "lock_urls", "redis://lock-1:6379,redis://lock-2:6379,redis://lock-3:6379");
    CONNECT_TIMEOUT = Setting::new("REDIS_CONNECT_TIMEOUT", "connect_timeout", "10s");
    COMMAND_TIMEOUT = Setting::new("REDIS_COMMAND_TIMEOUT", "command_timeout", SECONDS);
    MAX_RETRIES = Setting::new("REDIS_MAX_RETRIES", "max_retries", "3");
    ENABLE_AUTO_PIPELINING =
        Setting::new("REDIS_ENABLE_AUTO_PIPELINING", "enable_auto_pipelining", "true");
    MAX_MEMORY = Setting::new("REDIS_MAX_MEMORY", "max_memory", "256mb");
    PROVIDER = Setting::new("REDIS_PROVIDER", "provider", "local");
    REST_URL =
        Setting::new("UPSTASH_REDIS_REST_URL", "upstash_redis_rest_url", "https://eu1-name-12345.upstash.io")
            .by("upstash");
    REST_TOKEN =
        Setting::new("UPSTASH_REDIS_REST_TOKEN", "upstash_redis_rest_token", "the token as Upstash shows it")
            .by("upstash");
    MEMORY_LIMIT = Setting::new("KEYLATCH_MEMORY_LIMIT", "memory_limit", "256mb");
    LOCAL_MEMORY_LIMIT = Setting::new("KEYLATCH_LOCAL_MEMORY_LIMIT", "local_memory_limit", "64mb");
    OUTAGE_MEMORY_LIMIT = Setting::new("KEYLATCH_OUTAGE_MEMORY_LIMIT", "outage_memory_limit", "100mb");
    AFTER_FAILOVER = Setting::new("KEYLATCH_AFTER_FAILOVER", "after_failover", "replay");
    FAILOVER_REPLAY = Setting::new("KEYLATCH_FAILOVER_REPLAY", "failover_replay", "30s");
    CACHE_TIMEOUT = Setting::new("KEYLATCH_CACHE_TIMEOUT", "cache_timeout", "500ms");
    LEASE = Setting::new("KEYLATCH_LEASE", "lease", "3s");
    LOCK_THREAD = Setting::new("KEYLATCH_LOCK_THREAD", "lock_thread", "true");
    BREAKER_FAILURE_RATE = Setting::new("KEYLATCH_BREAKER_FAILURE_RATE", "breaker_failure_rate", "0.5");
    BREAKER_MINIMUM_CALLS = Setting::new("KEYLATCH_BREAKER_MINIMUM_CALLS", "breaker_minimum_calls", "20");
    BREAKER_WINDOW = Setting::new("KEYLATCH_BREAKER_WINDOW", "breaker_window", "10s");
}
