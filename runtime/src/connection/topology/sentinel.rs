//! A primary that sentinels name. They are asked at intervals and whenever there was trouble, one after the other, and the
//! server they name must itself say that it is a primary (guidelines for Sentinel clients, redis.io).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::Value;

use super::super::directory::LookUp;
use super::super::endpoint::{Endpoint, PATIENCE};
use super::super::greeting::Role;
use super::super::place::{Hub, Place};
use super::super::{Address, Limits};
use super::fleet::{Fleet, text};
use super::replicated::members;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};

/// See the module.
#[derive(Debug)]
pub(in super::super) struct Sentinel {
    sentinels: Vec<Endpoint>,
    /// The one that answered last is asked first.
    first: AtomicUsize,
    master: String,
    template: Address,
    read_replicas: bool,
    limits: Limits,
    hub: Arc<Hub>,
    /// One place for whichever server is the primary, so that another one is noticed.
    place: Arc<Place>,
}

impl Sentinel {
    pub(super) fn new(
        sentinels: &[Address],
        master: String,
        template: Address,
        read_replicas: bool,
        limits: Limits,
        hub: &Arc<Hub>,
    ) -> Result<Self> {
        let one_connection = Limits { pool_size: 1, ..limits };
        let sentinels = sentinels
            .iter()
            .map(|address| Endpoint::new(address, Role::Any, one_connection, Place::new(hub)))
            .collect::<Result<_>>()?;
        Ok(Self {
            sentinels,
            first: AtomicUsize::new(0),
            master,
            template,
            read_replicas,
            limits,
            hub: Arc::clone(hub),
            place: Place::new(hub),
        })
    }

    /// Asks the sentinels in turn until one answers.
    async fn ask(&self, question: &'static str) -> Result<Value> {
        let mut cmd = redis::cmd("SENTINEL");
        cmd.arg(question).arg(&self.master);
        let first = self.first.load(Ordering::Relaxed);
        let mut last = Error::new(ErrorKind::Unavailable, "ask the sentinels");
        for offset in 0..self.sentinels.len() {
            let index = (first + offset) % self.sentinels.len();
            let asked = self.sentinels[index].ask(&cmd);
            match clock::within(PATIENCE, asked).await {
                Some(Ok(Value::Nil)) => {
                    last = Error::new(ErrorKind::Configuration, "ask the sentinels")
                        .with("master", &self.master)
                        .with("sentinel", self.sentinels[index].address())
                        .with("fault", "it does not know that name")
                        .remedy("set the name in REDIS_SENTINEL_MASTER");
                }
                Some(Ok(answer)) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Some(Err(failed)) => last = failed.during("ask the sentinels"),
                None => {
                    last = Error::new(ErrorKind::Timeout, "ask the sentinels")
                        .with("sentinel", self.sentinels[index].address());
                }
            }
        }
        Err(last)
    }

    async fn primary(&self, known: Option<&Fleet>) -> Result<Endpoint> {
        let answer = self.ask("get-master-addr-by-name").await?;
        let (host, port): (String, u16) = redis::from_redis_value(answer)
            .map_err(|error| Error::new(ErrorKind::Protocol, "ask the sentinels").because(error))?;
        let address = self.template.at(&host, port);
        match known.map(Fleet::primary).filter(|primary| primary.address() == address.to_string()) {
            Some(primary) => Ok(primary.clone()),
            None => Endpoint::new(&address, Role::Primary, self.limits, Arc::clone(&self.place)),
        }
    }

    async fn replicas(&self) -> Result<Vec<(String, u16)>> {
        let Value::Array(answers) = self.ask("replicas").await? else { return Ok(Vec::new()) };
        Ok(answers.into_iter().filter_map(named).collect())
    }
}

/// Host and port out of one replica's list of names and values.
fn named(replica: Value) -> Option<(String, u16)> {
    let pairs: Vec<(String, String)> = match replica {
        Value::Map(pairs) => {
            pairs.into_iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
        }
        other => redis::from_redis_value(other).ok()?,
    };
    let field = |name: &str| pairs.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    Some((field("ip")?, field("port")?.parse().ok()?))
}

impl LookUp for Sentinel {
    type Map = Fleet;
    const INTERVAL: Duration = Duration::from_secs(1);

    async fn look_up(&self, known: Option<Arc<Fleet>>) -> Result<Fleet> {
        let known = known.as_deref();
        let primary = self.primary(known).await?;
        let members = if self.read_replicas && known.is_some() {
            members(&self.replicas().await?, &self.template, self.limits, &self.hub, known)?
        } else {
            Vec::new()
        };
        Ok(Fleet::look(primary, members, known).await)
    }
}
