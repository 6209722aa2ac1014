//! From what was written to what the rest uses: which store, which servers, which limits; and what contradicts what.

use super::fault::Faults;
use super::names::{self, Setting};
use super::servers::{REDIS, Reading, SENTINEL, Server};
use super::{Provider, Settings, certificates, rest, servers, text, timings};
use crate::connection::{Address, ConnectionConfig, Limits, Secret, Tls, Topology};
use crate::error::Result;
use crate::instance::{Rules, Tuning};
use crate::key::Namespace;

/// The settings, checked.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) store: Store,
    /// The masters that locks ask, instead of the store, for a majority; none if locks are kept in the store.
    pub(crate) lock_masters: Vec<ConnectionConfig>,
    /// Locks of the store are extended by a thread of their own.
    pub(crate) lock_thread: bool,
    /// `None` if none was set.
    pub(crate) namespace: Option<Namespace>,
    pub(crate) tuning: Tuning,
}

/// Where entries are kept.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// In this process, up to so many bytes.
    Embedded {
        limit: u64,
    },
    Remote(Box<ConnectionConfig>),
}

/// Checks everything and returns every fault in one error, with those that were found before.
pub(in crate::instance) fn resolve(
    settings: &Settings,
    rules: Rules,
    mut faults: Faults,
) -> Result<Resolved> {
    timings::check(settings, &mut faults);
    let namespace = namespace(settings, &mut faults);
    let certificates = certificates::read(settings, &mut faults);
    let limits = timings::limits(settings);
    let mut resolver = Resolver { settings, certificates, limits, faults, is_secure: false, is_rest: false };
    let lock_masters = resolver.lock_masters();
    let store = resolver.store();
    resolver.unused_certificates();
    match (resolver.faults.error(), store) {
        (Some(error), _) => Err(error),
        (None, store) => {
            let store = store.unwrap_or(Store::Embedded { limit: settings.memory_limit });
            let (lock_thread, tuning) = (settings.lock_thread, timings::tuning(settings, rules));
            Ok(Resolved { store, lock_masters, lock_thread, namespace, tuning })
        }
    }
}

fn namespace(settings: &Settings, faults: &mut Faults) -> Option<Namespace> {
    let name = settings.key_prefix.as_deref()?;
    let namespace = Namespace::new(name, names::KEY_PREFIX.field).map_err(|error| {
        let fault = error.context().find_map(|(name, text)| (name == "fault").then_some(text));
        faults.value(&names::KEY_PREFIX, fault.unwrap_or("not a namespace"));
    });
    namespace.ok()
}

fn first_set(settings: &[(bool, &'static Setting)]) -> Option<&'static Setting> {
    settings.iter().find_map(|&(is_set, setting)| is_set.then_some(setting))
}

struct Resolver<'a> {
    settings: &'a Settings,
    certificates: Tls,
    limits: Limits,
    faults: Faults,
    /// Whether any server is reached by TLS.
    is_secure: bool,
    /// Whether entries are kept over REST.
    is_rest: bool,
}

impl Resolver<'_> {
    /// `None` for the embedded store, or after a fault.
    fn store(&mut self) -> Option<Store> {
        let servers = first_set(&[
            (self.settings.url.is_some(), &names::URL),
            (self.settings.host.is_some(), &names::HOST),
            (self.settings.port.is_some(), &names::PORT),
            (!self.settings.cluster_nodes.is_empty(), &names::CLUSTER_NODES),
            (self.settings.cluster_mode == Some(true), &names::CLUSTER_MODE),
            (!self.settings.sentinel_urls.is_empty(), &names::SENTINEL_URLS),
            (self.settings.sentinel_master.is_some(), &names::SENTINEL_MASTER),
            (!self.settings.read_replica_urls.is_empty(), &names::READ_REPLICA_URLS),
            (self.settings.read_replicas == Some(true), &names::READ_REPLICAS),
        ]);
        let rest = first_set(&[
            (self.settings.upstash_redis_rest_url.is_some(), &names::REST_URL),
            (self.settings.upstash_redis_rest_token.is_some(), &names::REST_TOKEN),
        ]);
        let topology = match (self.settings.provider, servers, rest) {
            (Some(Provider::Upstash), ..) => self.rest(&names::PROVIDER, servers)?,
            (None, None, Some(rest)) => self.rest(rest, None)?,
            (None, Some(servers), Some(rest)) => {
                self.two_providers(servers, rest);
                return None;
            }
            (_, Some(_), _) => self.redis()?,
            (_, None, _) => {
                self.login_without_server();
                return None;
            }
        };
        Some(Store::Remote(Box::new(ConnectionConfig {
            topology,
            limits: self.limits,
            after_failover: self.settings.after_failover,
        })))
    }

    fn two_providers(&mut self, servers: &'static Setting, rest: &'static Setting) {
        if self.faults.is_unreadable(&names::PROVIDER) {
            return;
        }
        let provider = self.faults.name(&names::PROVIDER);
        self.faults.clash(servers, rest, |rest| {
            format!("contradicts `{rest}`, which is set too; set `{provider}` to `local` or `upstash`, or remove one of them")
        });
    }

    fn login_without_server(&mut self) {
        let wants_tls = self.settings.tls == Some(true) && self.settings.lock_urls.is_empty();
        for setting in servers::login(self.settings).chain(wants_tls.then_some(&names::TLS)) {
            self.faults.lacks(setting, &names::HOST);
        }
    }

    /// Entries over REST, whatever `servers` are configured too.
    fn rest(&mut self, chosen_by: &'static Setting, servers: Option<&'static Setting>) -> Option<Topology> {
        self.is_rest = true;
        let topology = rest::topology(self.settings, chosen_by, &mut self.faults);
        let (has_redis, has_tls) = (servers.is_some(), self.is_secure);
        rest::contradictions(self.settings, chosen_by, has_redis, has_tls, &mut self.faults);
        topology
    }

    fn redis(&mut self) -> Option<Topology> {
        let settings = self.settings;
        let cluster = first_set(&[
            (!settings.cluster_nodes.is_empty(), &names::CLUSTER_NODES),
            (settings.cluster_mode == Some(true), &names::CLUSTER_MODE),
        ]);
        let sentinel = first_set(&[
            (!settings.sentinel_urls.is_empty(), &names::SENTINEL_URLS),
            (settings.sentinel_master.is_some(), &names::SENTINEL_MASTER),
        ]);
        let replicas = first_set(&[
            (!settings.read_replica_urls.is_empty(), &names::READ_REPLICA_URLS),
            (settings.read_replicas == Some(true), &names::READ_REPLICAS),
        ]);
        self.contradictions(cluster, sentinel, replicas);
        match (cluster, sentinel, replicas) {
            (Some(setting), ..) => self.cluster(setting),
            (None, Some(_), _) => self.sentinel(),
            (None, None, Some(setting)) => self.replicas(setting),
            (None, None, None) => self.primary().map(Topology::Single),
        }
    }

    fn contradictions(
        &mut self,
        cluster: Option<&'static Setting>,
        sentinel: Option<&'static Setting>,
        replicas: Option<&'static Setting>,
    ) {
        let settings = self.settings;
        let faults = &mut self.faults;
        let off = |other: &str| format!("is off, but `{other}` is set; remove one of them");
        if settings.cluster_mode == Some(false) && cluster.is_some() {
            faults.clash(&names::CLUSTER_MODE, &names::CLUSTER_NODES, off);
        }
        if settings.read_replicas == Some(false) && replicas.is_some() {
            faults.clash(&names::READ_REPLICAS, &names::READ_REPLICA_URLS, off);
        }
        if let (Some(cluster), Some(sentinel)) = (cluster, sentinel) {
            faults.both(cluster, sentinel);
        }
        if let (Some(cluster), Some(replicas)) = (cluster, replicas) {
            faults.clash(replicas, cluster, |cluster| {
                format!("contradicts `{cluster}`: reading from a cluster's replicas is not supported; remove one of them")
            });
        }
        if sentinel.is_some() && !settings.read_replica_urls.is_empty() {
            let read_replicas = faults.name(&names::READ_REPLICAS);
            faults.clash(&names::READ_REPLICA_URLS, &names::SENTINEL_URLS, |sentinel| {
                format!("contradicts `{sentinel}`: the sentinels name the replicas; set `{read_replicas}` to `true` instead")
            });
        }
        let host = [(settings.host.is_some(), &names::HOST), (settings.port.is_some(), &names::PORT)];
        for setting in host.into_iter().filter_map(|(is_set, setting)| is_set.then_some(setting)) {
            if settings.url.is_some() {
                faults.both(&names::URL, setting);
            } else if !settings.cluster_nodes.is_empty() {
                faults.both(&names::CLUSTER_NODES, setting);
            } else if let Some(sentinel) = sentinel {
                faults.clash(setting, sentinel, |sentinel| {
                    format!("contradicts `{sentinel}`: the sentinels name the server; remove one of them")
                });
            }
        }
        if settings.url.is_some() && !settings.cluster_nodes.is_empty() {
            faults.both(&names::URL, &names::CLUSTER_NODES);
        }
    }

    fn cluster(&mut self, cluster: &'static Setting) -> Option<Topology> {
        let settings = self.settings;
        if settings.db.is_some_and(|db| db != 0) {
            self.faults.clash(&names::DB, cluster, |cluster| {
                format!("contradicts `{cluster}`: a cluster has database 0 alone; remove it")
            });
        }
        self.user_without_password(false);
        if settings.cluster_nodes.is_empty() && settings.url.is_none() {
            if settings.host.is_none() && settings.port.is_none() {
                self.faults.lacks(&names::CLUSTER_MODE, &names::CLUSTER_NODES);
                return None;
            }
            return self.primary().map(|seed| Topology::Cluster { seeds: vec![seed] });
        }
        let (setting, texts) = match &settings.url {
            Some(urls) => (&names::URL, text::list(urls)),
            None => (&names::CLUSTER_NODES, settings.cluster_nodes.clone()),
        };
        let mut seeds = Vec::new();
        for text in &texts {
            let Some(server) = self.server(&self.reading(setting), text) else { continue };
            if server.database.is_some_and(|database| database != 0) {
                self.faults.value(setting, "a cluster has database 0 alone");
            }
            seeds.push(self.same_login(server));
        }
        if texts.is_empty() {
            self.faults.value(setting, "names no server");
        }
        Some(Topology::Cluster { seeds })
    }

    fn sentinel(&mut self) -> Option<Topology> {
        let settings = self.settings;
        if settings.sentinel_urls.is_empty() {
            self.faults.lacks(&names::SENTINEL_MASTER, &names::SENTINEL_URLS);
        }
        let Some(master) = settings.sentinel_master.as_deref() else {
            self.faults.lacks(&names::SENTINEL_URLS, &names::SENTINEL_MASTER);
            return None;
        };
        if master.is_empty() || master.contains(char::is_whitespace) {
            self.faults.value(&names::SENTINEL_MASTER, "not a name");
        }
        let mut sentinels = Vec::new();
        for text in &settings.sentinel_urls {
            // Sentinels may well speak without TLS where the data servers do not, or have a login of their own.
            let reading = Reading { is_strict: false, port: SENTINEL, ..self.reading(&names::SENTINEL_URLS) };
            let Some(server) = self.server(&reading, text) else { continue };
            if server.database.is_some() {
                self.faults.value(&names::SENTINEL_URLS, "a sentinel has no databases");
            }
            sentinels.push(server.address);
        }
        let template = self.primary()?;
        let read_replicas = settings.read_replicas == Some(true);
        Some(Topology::Sentinel { sentinels, master: master.to_owned(), template, read_replicas })
    }

    fn replicas(&mut self, setting: &'static Setting) -> Option<Topology> {
        let settings = self.settings;
        if settings.url.is_none() && settings.host.is_none() && settings.port.is_none() {
            self.faults.lacks(setting, &names::URL);
            return None;
        }
        let primary = self.primary();
        let mut replicas = Vec::new();
        for text in &settings.read_replica_urls {
            let Some(server) = self.server(&self.reading(&names::READ_REPLICA_URLS), text) else { continue };
            let Some(primary) = &primary else { continue };
            if server.database.is_some_and(|database| database != primary.database()) {
                self.faults.value(
                    &names::READ_REPLICA_URLS,
                    "a replica is read from the primary's database; leave it out",
                );
            }
            let has_login = server.has_username || server.has_password;
            let address = if has_login { server.address } else { server.address.with_login_of(primary) };
            replicas.push(address.with_database(primary.database()));
        }
        Some(Topology::Replicas { primary: primary?, replicas })
    }

    /// The server of the URL, or of host and port; with Sentinel, what is known about the servers that are to be found.
    fn primary(&mut self) -> Option<Address> {
        let settings = self.settings;
        let server = if let Some(url) = &settings.url {
            self.reading(&names::URL).url(url, &mut self.faults)
        } else {
            self.host()
        };
        let server = self.taken(server)?;
        for (is_twice, setting) in [
            (server.has_username && settings.username.is_some(), &names::USERNAME),
            (server.has_password && settings.password.is_some(), &names::PASSWORD),
            (server.database.is_some() && settings.db.is_some(), &names::DB),
        ] {
            if is_twice {
                self.faults.clash(&names::URL, setting, |other| {
                    format!("says what `{other}` says too; remove it from one of them")
                });
            }
        }
        self.user_without_password(server.has_password);
        let database = server.database.or(settings.db.map(i64::from)).unwrap_or(0);
        Some(self.same_login(server).with_database(database))
    }

    fn host(&mut self) -> Option<Server> {
        let host = self.settings.host.as_deref().unwrap_or("localhost").trim();
        let port = self.settings.port.unwrap_or(REDIS);
        if port == 0 {
            self.faults.value(&names::PORT, "not a port");
        }
        if !self.is_host(host) {
            return None;
        }
        self.reading(&names::HOST).host(host, port, &mut self.faults)
    }

    fn is_host(&mut self, host: &str) -> bool {
        let fault = if host.is_empty() || host.contains(['/', '@', ' ', ',']) {
            format!("not a host name; a URL belongs into `{}`", self.faults.name(&names::URL))
        } else if host.contains(':') && host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_err() {
            format!("not a host name; a port belongs into `{}`", self.faults.name(&names::PORT))
        } else {
            return true;
        };
        self.faults.value(&names::HOST, fault);
        false
    }

    /// The client would not log in at all.
    fn user_without_password(&mut self, is_in_url: bool) {
        if self.settings.username.is_some() && self.settings.password.is_none() && !is_in_url {
            self.faults.lacks(&names::USERNAME, &names::PASSWORD);
        }
    }

    /// What the address itself does not say about the login, from the settings.
    fn same_login(&self, server: Server) -> Address {
        let user = self.settings.username.as_deref().filter(|_| !server.has_username);
        let password = self.settings.password.as_ref().filter(|_| !server.has_password);
        server.address.with_login(user, password.map(Secret::reveal))
    }

    fn lock_masters(&mut self) -> Vec<ConnectionConfig> {
        // A master that holds locks is not asked to forget.
        let limits = Limits { max_memory: None, ..self.limits };
        let mut masters: Vec<ConnectionConfig> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for text in &self.settings.lock_urls {
            let Some(server) = self.server(&self.reading(&names::LOCK_URLS), text) else { continue };
            let place = server.address.to_string();
            if seen.contains(&place) {
                self.faults
                    .value(&names::LOCK_URLS, "the same server twice, which is not independent of itself");
            }
            seen.push(place);
            masters.push(ConnectionConfig {
                topology: Topology::Single(server.address),
                limits,
                after_failover: self.settings.after_failover,
            });
        }
        let count = self.settings.lock_urls.len();
        if count > 0 && count.is_multiple_of(2) && !self.faults.is_unreadable(&names::LOCK_URLS) {
            // A majority of four is three, as it would be of five, and of two it is both.
            let fault = "an even number of masters, of which no more may fail than of one master fewer; \
                         add one, or remove one";
            self.faults.value(&names::LOCK_URLS, fault);
        }
        if self.settings.lock_thread && count > 0 {
            // What several masters have said of a lock is with the runtime that asked them.
            self.faults.clash(&names::LOCK_THREAD, &names::LOCK_URLS, |urls| {
                format!("locks over several masters are not extended by a thread; remove it, or `{urls}`")
            });
        }
        masters
    }

    fn unused_certificates(&mut self) {
        let Some(setting) = certificates::first(self.settings) else { return };
        // Over REST, that has been looked at.
        if self.is_secure || self.is_rest {
            return;
        }
        if !Tls::is_supported() {
            if !self.faults.is_unreadable(setting) {
                self.faults.note(setting, servers::NO_TLS);
            }
        } else if self.faults.error().is_none() {
            // Another fault may be why no server is known to use TLS.
            self.faults.clash(setting, &names::TLS, |tls| {
                format!(
                    "is set, but no server is reached by TLS; set `{tls}` to `true`, or write `rediss://`"
                )
            });
        }
    }

    fn reading(&self, setting: &'static Setting) -> Reading {
        let certificates = self.certificates.clone();
        Reading { setting, tls: self.settings.tls, is_strict: true, certificates, port: REDIS }
    }

    fn server(&mut self, reading: &Reading, text: &str) -> Option<Server> {
        let server = reading.url_or_host(text, &mut self.faults);
        self.taken(server)
    }

    fn taken(&mut self, server: Option<Server>) -> Option<Server> {
        self.is_secure |= server.as_ref().is_some_and(|server| server.is_secure);
        server
    }
}
