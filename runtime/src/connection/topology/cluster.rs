//! A cluster: who owns which slots, looked up from any node, corrected by each redirect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{RedisError, Value};

use super::super::directory::{Directory, LookUp};
use super::super::endpoint::{Endpoint, PATIENCE};
use super::super::greeting::Role;
use super::super::place::{Hub, Place};
use super::super::{Address, Limits};
use super::slot::{SLOTS, slot_of};
use super::{Redirect, redirected};
use crate::error::{Error, ErrorKind, Result};
use crate::{clock, random};

/// See the module.
#[derive(Debug)]
pub(in super::super) struct Cluster {
    slots: Directory<Nodes>,
    nodes: Arc<Known>,
}

/// Which node owns each slot; `None` where nobody does.
pub(super) struct Slots(Vec<Option<Endpoint>>);

/// The source of the map.
struct Nodes(Arc<Known>);

/// Every node that was ever named, with its connections and its breaker.
#[derive(Debug)]
struct Known {
    template: Address,
    /// Where it is asked first; they may be replicas.
    seeds: Vec<Endpoint>,
    limits: Limits,
    hub: Arc<Hub>,
    nodes: Mutex<HashMap<String, Endpoint>>,
}

impl Cluster {
    pub(super) fn new(seeds: &[Address], limits: Limits, hub: &Arc<Hub>) -> Result<Self> {
        let Some(template) = seeds.first().cloned() else {
            return Err(Error::new(ErrorKind::Configuration, "configure").with("fault", "no node is named"));
        };
        let one_connection = Limits { pool_size: 1, ..limits };
        let seeds = seeds
            .iter()
            .map(|seed| Endpoint::new(seed, Role::Any, one_connection, Place::new(hub)))
            .collect::<Result<_>>()?;
        let hub = Arc::clone(hub);
        let nodes =
            Arc::new(Known { template, seeds, limits, hub: Arc::clone(&hub), nodes: Mutex::default() });
        Ok(Self { slots: Directory::new(Nodes(Arc::clone(&nodes)), hub), nodes })
    }

    /// The owner of a key's slot; of any slot without a key.
    pub(super) async fn owner(&self, key: Option<&[u8]>) -> Result<Endpoint> {
        let slots = self.slots.map().await?;
        let slot = key.map_or_else(|| random::below(usize::from(SLOTS)), |key| usize::from(slot_of(key)));
        let owner = slots.0[slot].clone();
        owner.ok_or_else(|| {
            self.nodes.hub.trouble.notify_one();
            Error::new(ErrorKind::Unavailable, "choose a node")
                .with("slot", slot)
                .with("fault", "nobody owns it")
        })
    }

    /// Whether the owner of a key's slot is known to be down.
    pub(super) fn is_down(&self, key: &[u8]) -> bool {
        let Some(slots) = self.slots.current() else { return self.slots.is_lost() };
        slots.0[usize::from(slot_of(key))].as_ref().is_none_or(|owner| !owner.is_open_for_use())
    }

    pub(super) async fn owners(&self) -> Result<Vec<Endpoint>> {
        Ok(self.slots.map().await?.owners())
    }

    pub(super) fn known_owners(&self) -> Vec<Endpoint> {
        self.slots.current().map(|slots| slots.owners()).unwrap_or_default()
    }

    pub(super) fn redirect(&self, server: &str, error: &RedisError) -> Option<Redirect> {
        let (host, port, slot) = redirected(error, server)?;
        let address = self.nodes.template.at(host, port);
        let node = self.nodes.node(&address).ok()?;
        if error.code() == Some("ASK") {
            return Some(Redirect::Ask(node));
        }
        self.slots.correct(|slots| slots.with_owner(slot, &node));
        Some(Redirect::Anew)
    }
}

impl Slots {
    fn owners(&self) -> Vec<Endpoint> {
        let mut owners: Vec<Endpoint> = Vec::new();
        for owner in self.0.iter().flatten() {
            // Slots come in long ranges, so the last one found is nearly always it.
            if !owners.iter().rev().any(|known| known.is(owner)) {
                owners.push(owner.clone());
            }
        }
        owners
    }

    fn with_owner(&self, slot: u16, node: &Endpoint) -> Self {
        let mut slots = self.0.clone();
        if let Some(owner) = slots.get_mut(usize::from(slot)) {
            take_over(owner.as_ref(), node);
            *owner = Some(node.clone());
        }
        Self(slots)
    }
}

/// A node that owns what another one did may not know what that one was told last.
fn take_over(before: Option<&Endpoint>, now: &Endpoint) {
    if before.is_some_and(|before| !before.is(now)) && !now.place().is_strange() {
        now.place().estrange(now.address());
    }
}

impl Known {
    fn node(&self, address: &Address) -> Result<Endpoint> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = nodes.get(&address.to_string()) {
            return Ok(node.clone());
        }
        let node = Endpoint::new(address, Role::Primary, self.limits, Place::new(&self.hub))?;
        nodes.insert(address.to_string(), node.clone());
        Ok(node)
    }

    /// Nodes to ask: the owners that are known, then the seeds.
    fn to_ask(&self, known: Option<&Slots>) -> Vec<Endpoint> {
        let mut nodes = known.map(Slots::owners).unwrap_or_default();
        let start = if nodes.is_empty() { 0 } else { random::below(nodes.len()) };
        nodes.rotate_left(start);
        nodes.extend(self.seeds.iter().cloned());
        // Those that are down are asked last.
        nodes.sort_by_key(|node| !node.is_open_for_use());
        nodes
    }
}

impl LookUp for Nodes {
    type Map = Slots;
    const INTERVAL: Duration = Duration::from_secs(5);

    async fn look_up(&self, known: Option<Arc<Slots>>) -> Result<Slots> {
        let mut cmd = redis::cmd("CLUSTER");
        cmd.arg("SLOTS");
        let mut last = Error::new(ErrorKind::Unavailable, "look up the slots");
        for node in self.0.to_ask(known.as_deref()) {
            match clock::within(PATIENCE, node.ask(&cmd)).await {
                Some(Ok(answer)) => match self.read(&node, answer, known.as_deref()) {
                    Some(slots) => return Ok(slots),
                    None => {
                        last = Error::new(ErrorKind::Protocol, "look up the slots")
                            .with("server", node.address())
                            .remedy("is it a node of a cluster?");
                    }
                },
                Some(Err(failed)) => last = failed.during("look up the slots"),
                None => {
                    last = Error::new(ErrorKind::Timeout, "look up the slots").with("server", node.address());
                }
            }
        }
        Err(last)
    }
}

impl Nodes {
    /// Ranges of `[first, last, [host, port, ..] of the owner, replicas ..]`.
    fn read(&self, answering: &Endpoint, answer: Value, known: Option<&Slots>) -> Option<Slots> {
        let Value::Array(ranges) = answer else { return None };
        let mut slots: Vec<Option<Endpoint>> = vec![None; usize::from(SLOTS)];
        for range in ranges {
            let Value::Array(parts) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(owner), ..] = &parts[..] else {
                return None;
            };
            let [host, Value::Int(port), ..] = &owner[..] else { return None };
            let host = match host {
                Value::BulkString(host) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
                // Left out: the one that answers.
                _ => answering.address().rsplit_once(':')?.0.to_owned(),
            };
            let address = self.0.template.at(&host, u16::try_from(*port).ok()?);
            let node = self.0.node(&address).ok()?;
            for slot in usize::try_from(*first).ok()?..=usize::try_from(*last).ok()? {
                let owner = slots.get_mut(slot)?;
                take_over(known.and_then(|known| known.0[slot].as_ref()), &node);
                *owner = Some(node.clone());
            }
        }
        Some(Slots(slots))
    }
}
