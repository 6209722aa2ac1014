//! Which servers a connection has, and which of them a request goes to.

mod cluster;
mod fleet;
mod replicated;
mod sentinel;
mod slot;

use std::sync::Arc;

use redis::RedisError;

use super::directory::Directory;
use super::endpoint::Endpoint;
use super::failure::Failed;
use super::greeting::Role;
use super::place::{Hub, Place};
use super::request::Route;
use super::{ConnectionConfig, Limits, Topology};
use crate::error::Result;

use cluster::Cluster;
use fleet::Fleet;
use replicated::Replicated;
use sentinel::Sentinel;

pub(crate) use slot::slot_of;

/// The servers of one connection.
#[derive(Debug)]
pub(super) enum Servers {
    /// One server, or one address that leads to whichever serves.
    Single(Endpoint),
    /// A primary with replicas that are read.
    Replicated(Directory<Replicated>),
    /// A primary that sentinels name.
    Sentinel(Directory<Sentinel>),
    Cluster(Cluster),
}

/// Where a request is to go next, says the server that had it.
pub(super) enum Redirect {
    /// To whoever the map names by now.
    Anew,
    /// To this server, which is still importing the slot.
    Ask(Endpoint),
}

impl Servers {
    pub(super) fn new(config: &ConnectionConfig, hub: &Arc<Hub>) -> Result<Self> {
        let limits: Limits = config.limits;
        Ok(match &config.topology {
            Topology::Single(address) => {
                Self::Single(Endpoint::new(address, Role::Primary, limits, Place::new(hub))?)
            }
            Topology::Replicas { primary, replicas } => {
                let source = Replicated::new(primary, replicas, limits, hub)?;
                Self::Replicated(Directory::new(source, Arc::clone(hub)))
            }
            Topology::Sentinel { sentinels, master, template, read_replicas } => {
                let source =
                    Sentinel::new(sentinels, master.clone(), template.clone(), *read_replicas, limits, hub)?;
                Self::Sentinel(Directory::new(source, Arc::clone(hub)))
            }
            Topology::Cluster { seeds } => Self::Cluster(Cluster::new(seeds, limits, hub)?),
            #[cfg(feature = "upstash")]
            Topology::Rest { url, token } => {
                let rest = super::rest::Rest::new(url, token, limits.connect_timeout)?;
                Self::Single(Endpoint::rest(rest, limits, Place::new(hub)))
            }
        })
    }

    /// The server that a request goes to.
    ///
    /// # Errors
    /// When it is not known which servers there are.
    pub(super) async fn choose(&self, route: Route<'_>, prefer_primary: bool) -> Result<Endpoint> {
        let fleet = match self {
            Self::Single(endpoint) => return Ok(endpoint.clone()),
            Self::Cluster(cluster) => return cluster.owner(route.key).await,
            Self::Replicated(directory) => directory.map().await?,
            Self::Sentinel(directory) => directory.map().await?,
        };
        if route.server.without_replicas().is_some() && !prefer_primary {
            Ok(fleet.reader().clone())
        } else {
            Ok(fleet.primary().clone())
        }
    }

    /// What follows from a failure, where the server has said where else to go.
    pub(super) fn redirect(&self, failed: &Failed) -> Option<Redirect> {
        match (self, failed) {
            (Self::Cluster(cluster), Failed::Sent { server, error }) => cluster.redirect(server, error),
            _ => None,
        }
    }

    /// Every primary: the only server, the primary of a fleet, each owner of slots.
    pub(super) async fn primaries(&self) -> Result<Vec<Endpoint>> {
        Ok(match self {
            Self::Single(endpoint) => vec![endpoint.clone()],
            Self::Cluster(cluster) => cluster.owners().await?,
            Self::Replicated(directory) => vec![directory.map().await?.primary().clone()],
            Self::Sentinel(directory) => vec![directory.map().await?.primary().clone()],
        })
    }

    /// The primaries and the replicas that are known by now, also those that are too far behind to be read.
    pub(super) fn known(&self) -> (Vec<Endpoint>, Vec<Endpoint>) {
        let fleet = |fleet: Option<Arc<Fleet>>| match fleet {
            Some(fleet) => (vec![fleet.primary().clone()], fleet.members().to_vec()),
            None => (Vec::new(), Vec::new()),
        };
        match self {
            Self::Single(endpoint) => (vec![endpoint.clone()], Vec::new()),
            Self::Cluster(cluster) => (cluster.known_owners(), Vec::new()),
            Self::Replicated(directory) => fleet(directory.current()),
            Self::Sentinel(directory) => fleet(directory.current()),
        }
    }

    /// Whether the server that has the key is known to be down.
    pub(super) fn is_down(&self, key: &[u8]) -> bool {
        let fleet = |fleet: Option<Arc<Fleet>>| fleet.is_some_and(|fleet| !fleet.primary().is_open_for_use());
        match self {
            Self::Single(endpoint) => !endpoint.is_open_for_use(),
            Self::Cluster(cluster) => cluster.is_down(key),
            Self::Replicated(directory) => fleet(directory.current()),
            Self::Sentinel(directory) => directory.is_lost() || fleet(directory.current()),
        }
    }

    pub(super) fn has_replicas(&self) -> bool {
        matches!(self, Self::Replicated(_) | Self::Sentinel(_))
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// The address behind `MOVED` and `ASK`; a server that leaves the host out means its own.
fn redirected<'a>(error: &'a RedisError, server: &'a str) -> Option<(&'a str, u16, u16)> {
    let (address, slot) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { server.rsplit_once(':')?.0 } else { host };
    Some((host, port.parse().ok()?, slot))
}
