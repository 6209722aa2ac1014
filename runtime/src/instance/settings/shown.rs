//! What `Debug` shows of the settings: everything but secrets.

use std::fmt;

use url::Url;

use super::Settings;

const HIDDEN: &str = "[hidden]";

/// A URL, a `host:port`, or several with commas, without user, password and query. What is neither may be anything, such
/// as a password in the wrong place, and is not shown at all.
fn shown(text: &str) -> String {
    let parts: Vec<_> = text.split(',').map(|part| shown_one(part.trim())).collect();
    match parts.into_iter().collect::<Option<Vec<_>>>() {
        Some(parts) => parts.join(","),
        // A comma may be part of a password.
        None => shown_one(text.trim()).unwrap_or_else(|| HIDDEN.to_owned()),
    }
}

fn shown_one(text: &str) -> Option<String> {
    if !text.contains("://") {
        let url = Url::parse(&format!("redis://{text}")).ok()?;
        let bare = url.port().is_some() && url.path().is_empty() && !text.contains(['@', '?', '#']);
        return bare.then(|| text.to_owned());
    }
    let mut url = Url::parse(text).ok()?;
    let has_login = !url.username().is_empty() || url.password().is_some();
    if !has_login && text.contains('@') {
        return None; // A password with a `/` or `#` in it, cut in two.
    }
    url.query().is_some().then(|| url.set_query(Some(HIDDEN)));
    url.fragment().is_some().then(|| url.set_fragment(Some(HIDDEN)));
    if has_login {
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        return Some(url.as_str().replacen("://", &format!("://{HIDDEN}@"), 1));
    }
    Some(url.into())
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |url: &'_ Option<String>| url.as_deref().map(shown);
        let list = |urls: &[String]| urls.iter().map(|url| shown(url)).collect::<Vec<_>>();
        f.debug_struct("Settings")
            .field("url", &one(&self.url))
            .field("host", &self.host.as_deref().map(shown_host))
            .field("port", &self.port)
            .field("username", &self.username)
            .field("password", &self.password)
            .field("db", &self.db)
            .field("tls", &self.tls)
            .field("tls_ca_file", &self.tls_ca_file)
            .field("tls_cert_file", &self.tls_cert_file)
            .field("tls_key_file", &self.tls_key_file)
            .field("key_prefix", &self.key_prefix)
            .field("pool_size", &self.pool_size)
            .field("cluster_mode", &self.cluster_mode)
            .field("cluster_nodes", &list(&self.cluster_nodes))
            .field("read_replicas", &self.read_replicas)
            .field("read_replica_urls", &list(&self.read_replica_urls))
            .field("sentinel_urls", &list(&self.sentinel_urls))
            .field("sentinel_master", &self.sentinel_master)
            .field("lock_urls", &list(&self.lock_urls))
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("max_retries", &self.max_retries)
            .field("enable_auto_pipelining", &self.enable_auto_pipelining)
            .field("max_memory", &self.max_memory)
            .field("provider", &self.provider)
            .field("upstash_redis_rest_url", &one(&self.upstash_redis_rest_url))
            .field("upstash_redis_rest_token", &self.upstash_redis_rest_token)
            .field("memory_limit", &self.memory_limit)
            .field("local_memory_limit", &self.local_memory_limit)
            .field("outage_memory_limit", &self.outage_memory_limit)
            .field("after_failover", &self.after_failover)
            .field("failover_replay", &self.failover_replay)
            .field("cache_timeout", &self.cache_timeout)
            .field("lease", &self.lease)
            .field("lock_thread", &self.lock_thread)
            .field("breaker_failure_rate", &self.breaker_failure_rate)
            .field("breaker_minimum_calls", &self.breaker_minimum_calls)
            .field("breaker_window", &self.breaker_window)
            .finish_non_exhaustive()
    }
}

/// A URL may have been written where the host belongs.
fn shown_host(host: &str) -> String {
    if host.contains(['@', '/', '?']) { shown(host) } else { host.to_owned() }
}
