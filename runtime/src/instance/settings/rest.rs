//! Upstash by its REST interface: what it needs, and what means nothing over it.

use super::fault::Faults;
use super::names::{self, Setting};
use super::{AfterFailover, Settings, certificates, servers};
use crate::connection::Topology;

/// `None` after a fault.
#[cfg(feature = "upstash")]
pub(super) fn topology(
    settings: &Settings,
    chosen_by: &'static Setting,
    faults: &mut Faults,
) -> Option<Topology> {
    let (url, token) = (&settings.upstash_redis_rest_url, &settings.upstash_redis_rest_token);
    if url.is_none() {
        faults.lacks(chosen_by, &names::REST_URL);
    }
    if token.is_none() {
        faults.lacks(chosen_by, &names::REST_TOKEN);
    }
    let (url, token) = (url.as_deref()?, token.as_ref()?);
    if let Some(fault) = url_fault(url) {
        faults.value(&names::REST_URL, fault);
    }
    let text = token.reveal();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        faults.value(&names::REST_TOKEN, "not a token: it is empty, or holds spaces or the like");
    }
    Some(Topology::Rest { url: url.trim_end_matches('/').to_owned(), token: token.clone() })
}

#[cfg(not(feature = "upstash"))]
pub(super) fn topology(_: &Settings, chosen_by: &'static Setting, faults: &mut Faults) -> Option<Topology> {
    let fault = "the REST interface is not compiled in; enable the feature `upstash` of `keylatch`";
    faults.note(chosen_by, fault);
    None
}

#[cfg(feature = "upstash")]
fn url_fault(url: &str) -> Option<&'static str> {
    let url = url::Url::parse(url).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host()) else {
        return Some("not a URL that begins with `https://`");
    };
    // A token may be part of any of these, and the URL is shown.
    let has_login = !url.username().is_empty() || url.password().is_some();
    (has_login || url.query().is_some() || url.fragment().is_some())
        .then_some("a URL with a user, a password, a query or a fragment")
}

/// What means nothing over REST, and would be ignored without a word. Where a Redis server is configured too, what is for
/// such a server is that one's, and put aside with it. `has_tls`: lock masters are reached by TLS.
pub(super) fn contradictions(
    settings: &Settings,
    chosen_by: &'static Setting,
    has_redis: bool,
    has_tls: bool,
    faults: &mut Faults,
) {
    if settings.after_failover == AfterFailover::Distrust {
        faults.clash(&names::AFTER_FAILOVER, chosen_by, |rest| {
            format!(
                "`distrust` contradicts `{rest}`: over REST no server says which one it is, so that nothing would \
                 be kept; choose `replay` or `trust`"
            )
        });
    }
    if has_redis {
        return;
    }
    for setting in servers::login(settings) {
        faults.clash(setting, chosen_by, |rest| {
            format!(
                "contradicts `{rest}`: over REST the token is the login, and there is one database; remove it"
            )
        });
    }
    if settings.max_memory.is_some() {
        faults.clash(&names::MAX_MEMORY, chosen_by, |rest| {
            format!("contradicts `{rest}`: over REST no server is asked for a limit of its memory; remove it")
        });
    }
    if let Some(file) = certificates::first(settings).filter(|_| !has_tls) {
        faults.clash(file, chosen_by, |rest| {
            format!("contradicts `{rest}`: over REST the system's certificates are trusted, and ours is not shown; remove it")
        });
    }
}
