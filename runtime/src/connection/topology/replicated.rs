//! A primary with read replicas, given by configuration or named by the primary.

use std::sync::Arc;
use std::time::Duration;

use super::super::directory::LookUp;
use super::super::endpoint::Endpoint;
use super::super::greeting::Role;
use super::super::place::{Hub, Place};
use super::super::{Address, Limits};
use super::fleet::{Fleet, replicas_of};
use crate::error::Result;

/// See the module.
#[derive(Debug)]
pub(in super::super) struct Replicated {
    template: Address,
    primary: Endpoint,
    given: Vec<Endpoint>,
    limits: Limits,
    hub: Arc<Hub>,
}

impl Replicated {
    pub(super) fn new(
        primary: &Address,
        replicas: &[Address],
        limits: Limits,
        hub: &Arc<Hub>,
    ) -> Result<Self> {
        let given = replicas
            .iter()
            .map(|address| Endpoint::new(address, Role::Replica, limits, Place::new(hub)))
            .collect::<Result<_>>()?;
        Ok(Self {
            template: primary.clone(),
            primary: Endpoint::new(primary, Role::Primary, limits, Place::new(hub))?,
            given,
            limits,
            hub: Arc::clone(hub),
        })
    }

    /// The replicas that the primary names now, or named when it last answered.
    async fn discovered(&self, known: Option<&Fleet>) -> Result<Vec<Endpoint>> {
        let Some(named) = replicas_of(&self.primary).await else {
            return Ok(known.map(|known| known.members().to_vec()).unwrap_or_default());
        };
        members(&named, &self.template, self.limits, &self.hub, known)
    }
}

/// An endpoint for each address; those that are known are kept with their connections.
pub(super) fn members(
    named: &[(String, u16)],
    template: &Address,
    limits: Limits,
    hub: &Arc<Hub>,
    known: Option<&Fleet>,
) -> Result<Vec<Endpoint>> {
    let endpoint = |(host, port): &(String, u16)| {
        let address = template.at(host, *port);
        match known.and_then(|known| known.member(&address.to_string())) {
            Some(member) => Ok(member.clone()),
            None => Endpoint::new(&address, Role::Replica, limits, Place::new(hub)),
        }
    };
    named.iter().map(endpoint).collect()
}

impl LookUp for Replicated {
    type Map = Fleet;
    const INTERVAL: Duration = Duration::from_secs(1);

    async fn look_up(&self, known: Option<Arc<Fleet>>) -> Result<Fleet> {
        let members = if self.given.is_empty() {
            // The first caller need not wait for the replicas: until they have been looked at twice, none is read anyway.
            if known.is_none() { Vec::new() } else { self.discovered(known.as_deref()).await? }
        } else {
            self.given.clone()
        };
        if known.is_none() {
            return Ok(Fleet::look(self.primary.clone(), Vec::new(), None).await);
        }
        Ok(Fleet::look(self.primary.clone(), members, known.as_deref()).await)
    }
}
