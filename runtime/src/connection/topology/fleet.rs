//! A primary and those of its replicas that may be read: what is known at one moment.

use redis::Value;

use super::super::endpoint::Endpoint;
use super::super::greeting::Greeting;
use crate::clock;
use crate::random;

use super::super::endpoint::PATIENCE;

/// See the module.
pub(in super::super) struct Fleet {
    primary: Endpoint,
    /// Every replica, also those that may not be read at present.
    members: Vec<Endpoint>,
    /// Those that had caught up when they were last looked at.
    replicas: Vec<Endpoint>,
    /// Where the primary was in its replication stream then.
    offset: u64,
}

impl Fleet {
    /// Finds out which replicas may be read: those that follow their primary, and have by now what it had at the last
    /// look. What they serve is thus never older than about two intervals.
    pub(super) async fn look(primary: Endpoint, members: Vec<Endpoint>, before: Option<&Self>) -> Self {
        // A new primary is not asked yet: meeting it would have it told the last invalidations while commands still go to
        // the one before.
        let is_new = before.is_some_and(|before| !before.primary.is(&primary));
        if members.is_empty() || is_new {
            return Self { primary, members, replicas: Vec::new(), offset: 0 };
        }
        let here = replication(&primary).await.and_then(|greeting| greeting.replication_offset());
        // Without an earlier look there is nothing to compare with, and none is read yet.
        let needed = before.filter(|before| before.primary.address() == primary.address());
        let mut replicas = Vec::new();
        if let Some(needed) = needed.map(|before| before.offset).filter(|&offset| offset > 0) {
            for member in &members {
                let there = replication(member).await;
                let there = there.filter(Greeting::follows_its_primary);
                if there
                    .and_then(|greeting| greeting.replication_offset())
                    .is_some_and(|offset| offset >= needed)
                {
                    replicas.push(member.clone());
                }
            }
        }
        Self { primary, members, replicas, offset: here.or(before.map(|before| before.offset)).unwrap_or(0) }
    }

    pub(super) fn primary(&self) -> &Endpoint {
        &self.primary
    }

    pub(super) fn members(&self) -> &[Endpoint] {
        &self.members
    }

    /// The member at that address, to be kept with its connections and its breaker.
    pub(super) fn member(&self, address: &str) -> Option<&Endpoint> {
        self.members.iter().find(|member| member.address() == address)
    }

    /// A replica by chance, or the primary where none is healthy. While the primary is a stranger, nothing is read from
    /// replicas either: they follow it, and know no more than it does.
    pub(super) fn reader(&self) -> &Endpoint {
        if self.replicas.is_empty() || self.primary.place().is_strange() {
            return &self.primary;
        }
        let first = random::below(self.replicas.len());
        let in_turn =
            (0..self.replicas.len()).map(|offset| &self.replicas[(first + offset) % self.replicas.len()]);
        in_turn.into_iter().find(|replica| replica.is_open_for_use()).unwrap_or(&self.primary)
    }
}

/// What a server says of its replication, if it answers soon.
async fn replication(endpoint: &Endpoint) -> Option<Greeting> {
    let mut info = redis::cmd("INFO");
    info.arg("replication");
    let sent = endpoint.ask(&info);
    let answer = clock::within(PATIENCE, sent).await?.ok()?;
    Some(Greeting::parse(&text(answer)?))
}

pub(super) fn text(answer: Value) -> Option<String> {
    redis::from_redis_value(answer).ok()
}

/// The replicas that a primary names.
pub(super) async fn replicas_of(primary: &Endpoint) -> Option<Vec<(String, u16)>> {
    let greeting = replication(primary).await?;
    Some(greeting.replicas().map(|(host, port)| (host.to_owned(), port)).collect())
}
