//! Fencing tokens over three masters: distinct, and later acquisitions have larger ones, whenever leases end.
//!
//! No clock at all: a lock may expire, a counter go idle and a request arrive at any moment, also long after its client has
//! given up. A client here is one acquisition. A reply that is on its way is one that its client has not looked at yet.

use super::search::Model;

pub(crate) const NODES: usize = 3;
const QUORUM: usize = 2;

/// What is left out of the protocol, to see that the search finds what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    None,
    /// The largest grant is the token, and no node is told.
    Max,
    /// One more than the largest grant, and no node is told.
    MaxPlusOne,
    /// A node raises its counter for whoever asks.
    UnownedRaise,
    /// A counter beyond the token confirms it, too.
    LargerConfirms,
    /// A counter that has gone idle begins anew, not from the mark.
    ForgetsWithTheCounter,
    /// A node that has lost its mark votes.
    VotesWithoutMark,
    /// A node that has lost its mark takes it from the others at once.
    RejoinsAtOnce,
    /// .. or from one other alone.
    RejoinsFromOne,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens<const CLIENTS: usize> {
    pub(crate) mutant: Mutant,
    /// What clients may propose: their clocks.
    pub(crate) proposals: &'static [u8],
    /// Counters may go idle.
    pub(crate) idle: bool,
    /// How many times a node may lose all it has.
    pub(crate) amnesia: u8,
    /// How many grants of other locks move a node's mark.
    pub(crate) others: u8,
    /// How many requests are sent again.
    pub(crate) repeats: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Request {
    Unsent,
    Asked,
    /// And what its counter was then, or after it was raised.
    Granted(u8),
    Refused,
}

/// A master, and what each client has asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node<const CLIENTS: usize> {
    /// The holder's number, from one.
    owner: u8,
    /// Zero: none.
    counter: u8,
    /// The high-water mark of all counters; zero: lost.
    mark: u8,
    /// The clients that were at it when this node lost all it had, and still are.
    waits_for: u8,
    /// The mark that a node without one has read here; zero: not yet.
    read: u8,
    requests: [Request; CLIENTS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Asking,
    Raising,
    Done,
    GivenUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    phase: Phase,
    proposal: u8,
    token: u8,
    /// Those that were done before this one began.
    after: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State<const CLIENTS: usize> {
    nodes: [Node<CLIENTS>; NODES],
    clients: [Client; CLIENTS],
    amnesia: u8,
    others: u8,
    repeats: u8,
}

impl<const CLIENTS: usize> State<CLIENTS> {
    /// What makes no difference any more is made equal: which node is which, and answers that nobody waits for.
    fn settled(mut self) -> Self {
        for (index, client) in self.clients.iter().enumerate() {
            for node in &mut self.nodes {
                let Request::Granted(counter) = node.requests[index] else { continue };
                // A raise may still be on its way to where its client is the holder.
                let raises = client.phase == Phase::Done && counter < client.token;
                let over = matches!(client.phase, Phase::Done | Phase::GivenUp) && !raises;
                if over && self.repeats == 0 {
                    node.requests[index] = Request::Refused;
                }
            }
        }
        self.nodes.sort_unstable();
        self
    }

    /// A client is done with its acquisition, one way or the other.
    fn end(&mut self, client: usize, phase: Phase) {
        self.clients[client].phase = phase;
        for node in &mut self.nodes {
            node.waits_for &= !(1 << client);
        }
    }
}

impl<const CLIENTS: usize> Model for Tokens<CLIENTS> {
    type State = State<CLIENTS>;

    fn initial(&self) -> Self::State {
        let node = Node {
            owner: 0,
            counter: 0,
            mark: 1,
            waits_for: 0,
            read: 0,
            requests: [Request::Unsent; CLIENTS],
        };
        let client = Client { phase: Phase::Idle, proposal: 0, token: 0, after: 0 };
        State {
            nodes: [node; NODES],
            clients: [client; CLIENTS],
            amnesia: self.amnesia,
            others: self.others,
            repeats: self.repeats,
        }
    }

    fn steps(&self, from: &Self::State, found: &mut dyn FnMut(&'static str, Self::State)) {
        let mut found = |step, state: State<CLIENTS>| found(step, state.settled());
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
        for (index, one) in state.clients.iter().enumerate() {
            for (other_index, other) in state.clients.iter().enumerate() {
                if index == other_index || one.phase != Phase::Done || other.phase != Phase::Done {
                    continue;
                }
                if one.token == other.token {
                    return Some("two acquisitions have one token");
                }
                if one.after & (1 << other_index) != 0 && one.token < other.token {
                    return Some("a later acquisition has a smaller token");
                }
            }
        }
        None
    }
}

impl<const CLIENTS: usize> Tokens<CLIENTS> {
    fn client_steps(
        &self,
        from: &State<CLIENTS>,
        client: usize,
        found: &mut impl FnMut(&'static str, State<CLIENTS>),
    ) {
        match from.clients[client].phase {
            Phase::Idle => {
                for &proposal in self.proposals {
                    let mut to = *from;
                    let done = (0..CLIENTS).filter(|&other| from.clients[other].phase == Phase::Done);
                    let after = done.fold(0, |mask, other| mask | 1 << other);
                    to.clients[client] = Client { phase: Phase::Asking, proposal, token: 0, after };
                    for node in &mut to.nodes {
                        node.requests[client] = Request::Asked;
                    }
                    found("begin", to);
                }
            }
            Phase::Asking | Phase::Raising => {
                // Any quorum of the answers may be what the client knows of.
                for known in 0_u8..1 << NODES {
                    self.decide(from, client, known, found);
                }
                let mut to = *from;
                to.end(client, Phase::GivenUp);
                found("give up", to);
            }
            Phase::Done | Phase::GivenUp => {}
        }
    }

    /// The largest counter that is known is the token, and a quorum must have exactly that. A counter that is larger than the
    /// token does not confirm it: it may be larger because another has had that very token in between.
    fn decide(
        &self,
        from: &State<CLIENTS>,
        client: usize,
        known: u8,
        found: &mut impl FnMut(&'static str, State<CLIENTS>),
    ) {
        let counters =
            from.nodes.iter().enumerate().filter_map(|(index, node)| match node.requests[client] {
                Request::Granted(counter) if known & (1 << index) != 0 => Some(counter),
                _ => None,
            });
        if counters.clone().count() < QUORUM || counters.clone().count() != known.count_ones() as usize {
            return;
        }
        let largest = counters.clone().max().unwrap_or_default();
        let mut to = *from;
        let raised = self.mutant == Mutant::LargerConfirms && from.clients[client].token != 0;
        let token = if raised { from.clients[client].token } else { largest };
        let confirms = |counter: &u8| if raised { *counter >= token } else { *counter == token };
        to.clients[client].token = token + u8::from(self.mutant == Mutant::MaxPlusOne);
        if counters.filter(confirms).count() >= QUORUM
            || matches!(self.mutant, Mutant::Max | Mutant::MaxPlusOne)
        {
            to.end(client, Phase::Done);
            found("done", to);
        } else {
            to.clients[client].phase = Phase::Raising;
            found("raise", to);
        }
    }

    /// What a client has sent comes to a node.
    fn arrivals(
        &self,
        from: &State<CLIENTS>,
        client: usize,
        index: usize,
        found: &mut impl FnMut(&'static str, State<CLIENTS>),
    ) {
        let me = u8::try_from(client + 1).expect("few clients");
        let Client { phase, proposal, token, .. } = from.clients[client];
        let mut to = *from;
        let node = &mut to.nodes[index];
        match node.requests[client] {
            Request::Asked => {
                let votes = node.mark != 0 || self.mutant == Mutant::VotesWithoutMark;
                node.requests[client] = if votes && (node.owner == 0 || node.owner == me) {
                    let forgets = self.mutant == Mutant::ForgetsWithTheCounter;
                    let last = if node.counter == 0 && !forgets { node.mark } else { node.counter };
                    node.owner = me;
                    node.counter = proposal.max(last + 1);
                    node.mark = node.mark.max(node.counter);
                    Request::Granted(node.counter)
                } else {
                    Request::Refused
                };
                found("a request arrives", to);
            }
            Request::Granted(counter) if token > counter && matches!(phase, Phase::Raising | Phase::Done) => {
                // A node that has lost its mark has lost the holder, too.
                let raises = node.owner == me || self.mutant == Mutant::UnownedRaise;
                node.requests[client] = if raises {
                    node.counter = node.counter.max(token);
                    node.mark = node.mark.max(token);
                    Request::Granted(node.counter)
                } else {
                    Request::Refused
                };
                found("a raise arrives", to);
            }
            _ => {}
        }
        if from.repeats > 0 && matches!(from.nodes[index].requests[client], Request::Granted(_)) {
            // Sent again because the answer was lost.
            let mut to = State { repeats: from.repeats - 1, ..*from };
            to.nodes[index].requests[client] = Request::Asked;
            found("a request is repeated", to);
        }
    }

    fn node_steps(
        &self,
        from: &State<CLIENTS>,
        index: usize,
        found: &mut impl FnMut(&'static str, State<CLIENTS>),
    ) {
        let node = &from.nodes[index];
        let with = |changed: Node<CLIENTS>| {
            let mut to = *from;
            to.nodes[index] = changed;
            to
        };
        if node.owner != 0 {
            // By its time, or released.
            found("a lock ends", with(Node { owner: 0, ..*node }));
        }
        if self.idle && node.counter != 0 {
            found("a counter goes idle", with(Node { counter: 0, ..*node }));
        }
        if from.others > 0 && node.mark != 0 {
            let moved = with(Node { mark: node.mark + 1, ..*node });
            found("another lock is granted", State { others: from.others - 1, ..moved });
        }
        if from.amnesia > 0 {
            let busy = |client: &usize| matches!(from.clients[*client].phase, Phase::Asking | Phase::Raising);
            let waits_for = (0..CLIENTS).filter(busy).fold(0, |mask, client| mask | 1 << client);
            let lost = Node { owner: 0, counter: 0, mark: 0, waits_for, read: 0, ..*node };
            found("a node loses all", State { amnesia: from.amnesia - 1, ..with(lost) });
        }
        if node.mark == 0 && (node.waits_for == 0 || self.mutant == Mutant::RejoinsAtOnce) {
            self.rejoin(from, index, found);
        }
    }

    /// The marks of a quorum of others are read, one after the other, and the largest becomes this node's.
    fn rejoin(
        &self,
        from: &State<CLIENTS>,
        index: usize,
        found: &mut impl FnMut(&'static str, State<CLIENTS>),
    ) {
        let (mut read, mut largest) = (0, 0);
        for (other, node) in from.nodes.iter().enumerate().filter(|(other, _)| *other != index) {
            if node.read != 0 {
                read += 1;
                largest = largest.max(node.read);
            } else if node.mark != 0 {
                let mut to = *from;
                to.nodes[other].read = node.mark;
                found("a mark is read", to);
            }
        }
        if read >= QUORUM - usize::from(self.mutant == Mutant::RejoinsFromOne) {
            let mut to = *from;
            to.nodes[index].mark = largest;
            for node in &mut to.nodes {
                node.read = 0;
            }
            found("a node rejoins", to);
        }
    }
}
