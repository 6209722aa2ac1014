//! One server as people write it: a URL, or a host and a port.

use url::Url;

use super::Settings;
use super::fault::Faults;
use super::names::{self, Setting};
use crate::connection::{Address, Tls};

/// The settings of a login that are set: they are for a server that is named, or not named, elsewhere.
pub(super) fn login(settings: &Settings) -> impl Iterator<Item = &'static Setting> {
    let all = [
        (settings.username.is_some(), &names::USERNAME),
        (settings.password.is_some(), &names::PASSWORD),
        (settings.db.is_some_and(|db| db != 0), &names::DB),
    ];
    all.into_iter().filter_map(|(is_set, setting)| is_set.then_some(setting))
}

/// What a text says about a server, and what it leaves to other settings.
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) is_secure: bool,
    pub(super) has_username: bool,
    pub(super) has_password: bool,
    pub(super) database: Option<i64>,
}

/// How texts are read.
pub(super) struct Reading {
    pub(super) setting: &'static Setting,
    /// `tls`, where it was set.
    pub(super) tls: Option<bool>,
    /// Whether a URL's scheme must say the same as `tls`.
    pub(super) is_strict: bool,
    pub(super) certificates: Tls,
    /// Where a text names none.
    pub(super) port: u16,
}

pub(super) const REDIS: u16 = 6379;
pub(super) const SENTINEL: u16 = 26379;

pub(super) const NO_TLS: &str = "TLS is not compiled in; enable the feature `tls` of `keylatch`";

impl Reading {
    /// A URL. `None` is a fault that was noted.
    pub(super) fn url(&self, text: &str, faults: &mut Faults) -> Option<Server> {
        let noted = self.parsed(text).map_err(|fault| {
            // The usual reason: `redis://:pass/word@host`.
            let hint = if text.contains('@') {
                "; special characters of a password must be percent-encoded, as `%2F` for `/` and `%23` for `#`"
            } else {
                ""
            };
            faults.value(self.setting, format_args!("{fault}{hint}"));
        });
        let server = noted.ok()?;
        self.tls.filter(|&tls| self.is_strict && tls != server.is_secure).map_or(Some(server), |tls| {
            let scheme = if tls { "`rediss://`" } else { "`redis://`" };
            faults.clash(self.setting, &names::TLS, |tls| {
                format!("contradicts `{tls}`; change the URL to {scheme}, or remove `{tls}`")
            });
            None
        })
    }

    /// A URL, or a host with or without a port, which has the encryption that `tls` says and no login.
    pub(super) fn url_or_host(&self, text: &str, faults: &mut Faults) -> Option<Server> {
        if text.contains("://") || text.starts_with("unix:") {
            return self.url(text, faults);
        }
        let url = Url::parse(&format!("redis://{text}")).ok().filter(|url| {
            url.path().is_empty() && url.query().is_none() && url.fragment().is_none() && !text.contains('@')
        });
        let Some(host) = url.as_ref().and_then(|url| url.host_str()).filter(|host| !host.is_empty()) else {
            faults.value(self.setting, "neither a Redis URL nor `host:port`");
            return None;
        };
        let port = url.as_ref().and_then(Url::port).unwrap_or(self.port);
        self.host(host, port, faults)
    }

    /// A server by its parts.
    pub(super) fn host(&self, host: &str, port: u16, faults: &mut Faults) -> Option<Server> {
        let is_secure = self.tls == Some(true);
        if is_secure && !Tls::is_supported() {
            faults.note(&names::TLS, NO_TLS);
            return None;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = Address::tcp(host, port, is_secure, self.certificates.clone());
        let address = address.map_err(|_| faults.value(self.setting, "not an address")).ok()?;
        Some(Server { address, is_secure, has_username: false, has_password: false, database: None })
    }

    fn parsed(&self, text: &str) -> Result<Server, String> {
        let url = Url::parse(text.trim()).map_err(|fault| format!("not a Redis URL: {fault}"))?;
        let (is_secure, is_socket) = match url.scheme() {
            "redis" | "valkey" => (false, false),
            "rediss" | "valkeys" => (true, false),
            "unix" | "redis+unix" | "valkey+unix" => (false, true),
            _ => {
                return Err("not a Redis URL: it begins with none of `redis://`, `rediss://` and `unix://`"
                    .to_owned());
            }
        };
        if is_secure && !Tls::is_supported() {
            return Err(NO_TLS.to_owned());
        }
        if url.fragment().is_some() {
            return Err("a Redis URL has no part after `#`".to_owned());
        }
        let query =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let path = url.path().trim_matches('/').to_owned();
        let database = if is_socket { query("db") } else { Some(path).filter(|path| !path.is_empty()) };
        let database = match database.map(|database| database.parse::<u32>()) {
            Some(Err(_)) => return Err("the database of the URL is not a number".to_owned()),
            database => database.and_then(Result::ok).map(i64::from),
        };
        // The scheme in lower case, as the client compares it.
        let address = Address::parse(url.as_str(), self.setting.field, self.certificates.clone())
            .map_err(|_| "not a Redis URL".to_owned())?;
        let address = match address.host() {
            Some(host) if url.port().is_none() => address.at(host, self.port),
            _ => address,
        };
        Ok(Server {
            address,
            is_secure,
            has_username: if is_socket { query("user").is_some() } else { !url.username().is_empty() },
            has_password: if is_socket { query("pass").is_some() } else { url.password().is_some() },
            database,
        })
    }
}
