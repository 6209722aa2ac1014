//! Leases over three masters: who relies on its lock is the last who got it.
//!
//! Time goes in ticks, for all at once; a master's clock may slip ahead by a tick in each lease, which the margin covers. A
//! request may come to a node at any time after it was sent, or never, and an answer may be looked at as late: a client here
//! is one acquisition. A master may restart empty.

use super::search::Model;
use super::tokens::NODES;

const QUORUM: usize = 2;
/// How many ticks before the end of its lease a client stops to rely on it.
const MARGIN: u8 = 1;

/// What is left out of the protocol, to see that the search finds what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    None,
    /// The lease is counted from the answers, and the time that they took is not looked at.
    CountsFromTheAnswer,
    /// A node extends the lock for whoever asks.
    ExtendsAnothers,
    /// A lease that has ended is repaired where the lock is free.
    RepairsAfterTheEnd,
    /// Nothing is taken off for clocks that differ.
    NoMargin,
    /// A node that has restarted empty votes at once.
    VotesAfterRestart,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Leases<const CLIENTS: usize> {
    pub(crate) mutant: Mutant,
    /// Of a lock on a node, in ticks.
    pub(crate) ttl: u8,
    /// How many times a client extends its lock.
    pub(crate) extensions: u8,
    /// How many times a node restarts empty.
    pub(crate) restarts: u8,
    /// How many times the clock of a node slips ahead in one lease.
    pub(crate) slips: u8,
}

/// How far what a client sent to a node has come. Of one connection, so in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Request {
    Unsent,
    Asked,
    Granted,
    Refused,
    Extended,
    NotExtended,
    Released,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node<const CLIENTS: usize> {
    /// The holder's number, from one, and for how long yet.
    owner: u8,
    left: u8,
    slips: u8,
    /// For how long it gives no vote yet.
    silent: u8,
    requests: [Request; CLIENTS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Asking,
    Holding,
    Extending,
    /// It relies on the lock no more, and releases it.
    Ended,
    /// The same, while an extension is on its way.
    EndedExtending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    phase: Phase,
    /// Ticks since before the request was sent, and since before the extension was.
    age: u8,
    extension_age: u8,
    extensions: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State<const CLIENTS: usize> {
    nodes: [Node<CLIENTS>; NODES],
    clients: [Client; CLIENTS],
    restarts: u8,
    /// The client whose acquisition was the last to be completed, from one.
    last: u8,
}

impl<const CLIENTS: usize> State<CLIENTS> {
    /// What makes no difference any more is made equal: which node is which, and answers that nobody waits for.
    fn settled(mut self) -> Self {
        for (index, client) in self.clients.iter().enumerate() {
            for node in &mut self.nodes {
                let owned = usize::from(node.owner) == index + 1;
                let over = match client.phase {
                    Phase::Ended => node.requests[index] != Request::Asked,
                    Phase::EndedExtending => {
                        matches!(node.requests[index], Request::Extended | Request::NotExtended)
                    }
                    _ => false,
                };
                if over && !owned {
                    node.requests[index] = Request::Released;
                }
            }
        }
        self.nodes.sort_unstable();
        self
    }

    fn count(&self, client: usize, request: Request) -> usize {
        self.nodes.iter().filter(|node| node.requests[client] == request).count()
    }
}

impl<const CLIENTS: usize> Model for Leases<CLIENTS> {
    type State = State<CLIENTS>;

    fn initial(&self) -> Self::State {
        let node = Node { owner: 0, left: 0, slips: 0, silent: 0, requests: [Request::Unsent; CLIENTS] };
        let client = Client { phase: Phase::Idle, age: 0, extension_age: 0, extensions: self.extensions };
        State { nodes: [node; NODES], clients: [client; CLIENTS], restarts: self.restarts, last: 0 }
    }

    fn steps(&self, from: &Self::State, found: &mut dyn FnMut(&'static str, Self::State)) {
        let mut found = |step, state: State<CLIENTS>| found(step, state.settled());
        found("a tick", self.tick(from));
        for client in 0..CLIENTS {
            self.client_steps(from, client, &mut found);
            for node in 0..NODES {
                self.arrivals(from, client, node, &mut found);
            }
        }
        for node in 0..NODES {
            self.node_steps(from, node, &mut found);
        }
    }

    fn broken(&self, state: &Self::State) -> Option<&'static str> {
        let relying = |client: &Client| {
            matches!(client.phase, Phase::Holding | Phase::Extending) && client.age < self.validity()
        };
        let outdated =
            |(index, client): (usize, &Client)| relying(client) && index + 1 != usize::from(state.last);
        state
            .clients
            .iter()
            .enumerate()
            .any(outdated)
            .then_some("a client relies on a lock that another has had since")
    }
}

impl<const CLIENTS: usize> Leases<CLIENTS> {
    fn validity(self) -> u8 {
        if self.mutant == Mutant::NoMargin { self.ttl } else { self.ttl - MARGIN }
    }

    fn tick(self, from: &State<CLIENTS>) -> State<CLIENTS> {
        let mut to = *from;
        for node in &mut to.nodes {
            node.left = node.left.saturating_sub(1);
            if node.left == 0 {
                (node.owner, node.slips) = (0, 0);
            }
            node.silent = node.silent.saturating_sub(1);
        }
        for client in &mut to.clients {
            if matches!(client.phase, Phase::Asking | Phase::Holding | Phase::Extending) {
                client.age = (client.age + 1).min(self.ttl);
            }
            if client.phase == Phase::Extending {
                client.extension_age = (client.extension_age + 1).min(self.ttl);
            }
            // Told by its own clock, whatever is on its way.
            let ended = client.age >= self.validity();
            match client.phase {
                Phase::Holding if ended => client.phase = Phase::Ended,
                Phase::Extending if ended && self.mutant != Mutant::RepairsAfterTheEnd => {
                    client.phase = Phase::EndedExtending;
                }
                _ => {}
            }
            if matches!(client.phase, Phase::Ended | Phase::EndedExtending) {
                (client.age, client.extension_age, client.extensions) = (0, 0, 0);
            }
        }
        to
    }

    fn client_steps(
        self,
        from: &State<CLIENTS>,
        index: usize,
        found: &mut impl FnMut(&'static str, State<CLIENTS>),
    ) {
        let client = from.clients[index];
        let with = |changed: Client| {
            let mut to = *from;
            to.clients[index] = changed;
            to
        };
        let in_time = client.age < self.validity();
        match client.phase {
            Phase::Idle => {
                let mut to = with(Client { phase: Phase::Asking, ..client });
                for node in &mut to.nodes {
                    node.requests[index] = Request::Asked;
                }
                found("begin", to);
            }
            Phase::Asking if from.count(index, Request::Granted) >= QUORUM => {
                let late = self.mutant == Mutant::CountsFromTheAnswer;
                if in_time || late {
                    let age = if late { 0 } else { client.age };
                    let last = u8::try_from(index + 1).expect("few clients");
                    found("hold", State { last, ..with(Client { phase: Phase::Holding, age, ..client }) });
                }
            }
            Phase::Holding if client.extensions > 0 => {
                let extensions = client.extensions - 1;
                found(
                    "extend",
                    with(Client { phase: Phase::Extending, extensions, extension_age: 0, ..client }),
                );
            }
            Phase::Extending if from.count(index, Request::Extended) >= QUORUM => {
                // Past the old end no answer helps; by the mutant one does.
                let mut to = with(Client {
                    phase: Phase::Holding,
                    age: client.extension_age,
                    extension_age: 0,
                    ..client
                });
                for node in &mut to.nodes {
                    if matches!(node.requests[index], Request::Extended | Request::NotExtended) {
                        node.requests[index] = Request::Granted;
                    }
                }
                found("extended", to);
            }
            _ => {}
        }
        let ended = match client.phase {
            Phase::Asking | Phase::Holding => Phase::Ended,
            Phase::Extending => Phase::EndedExtending,
            _ => return,
        };
        found("end", with(Client { phase: ended, age: 0, extension_age: 0, extensions: 0 }));
    }

    fn arrivals(
        self,
        from: &State<CLIENTS>,
        client: usize,
        index: usize,
        found: &mut impl FnMut(&'static str, State<CLIENTS>),
    ) {
        let me = u8::try_from(client + 1).expect("few clients");
        let phase = from.clients[client].phase;
        let mut to = *from;
        let node = &mut to.nodes[index];
        let votes = node.silent == 0 || self.mutant == Mutant::VotesAfterRestart;
        match node.requests[client] {
            Request::Asked => {
                let granted = votes && (node.owner == 0 || node.owner == me);
                if granted {
                    (node.owner, node.left, node.slips) = (me, self.ttl, self.slips);
                }
                node.requests[client] = if granted { Request::Granted } else { Request::Refused };
                found("a request arrives", to);
            }
            Request::Granted | Request::Refused
                if matches!(phase, Phase::Extending | Phase::EndedExtending) =>
            {
                // A lock that the node has lost is set again if it is free.
                let extended =
                    votes && (node.owner == 0 || node.owner == me || self.mutant == Mutant::ExtendsAnothers);
                if extended {
                    let owner = if node.owner == 0 { me } else { node.owner };
                    (node.owner, node.left, node.slips) = (owner, self.ttl, self.slips);
                }
                node.requests[client] = if extended { Request::Extended } else { Request::NotExtended };
                found("an extension arrives", to);
            }
            _ => {}
        }
        let node = from.nodes[index];
        let may_release = matches!(phase, Phase::Ended | Phase::EndedExtending)
            && !matches!(node.requests[client], Request::Unsent | Request::Asked | Request::Released);
        if may_release && node.owner == me {
            let mut to = *from;
            let node = &mut to.nodes[index];
            (node.owner, node.left, node.slips) = (0, 0, 0);
            node.requests[client] = Request::Released;
            found("a release arrives", to);
        }
    }

    fn node_steps(
        self,
        from: &State<CLIENTS>,
        index: usize,
        found: &mut impl FnMut(&'static str, State<CLIENTS>),
    ) {
        let node = from.nodes[index];
        let with = |changed: Node<CLIENTS>| {
            let mut to = *from;
            to.nodes[index] = changed;
            to
        };
        if node.slips > 0 {
            let left = node.left - 1;
            let (owner, slips) = if left == 0 { (0, 0) } else { (node.owner, node.slips - 1) };
            found("a clock slips", with(Node { owner, left, slips, ..node }));
        }
        if from.restarts > 0 {
            let empty = Node { owner: 0, left: 0, slips: 0, silent: self.ttl, ..node };
            found("a node restarts empty", State { restarts: from.restarts - 1, ..with(empty) });
        }
    }
}
