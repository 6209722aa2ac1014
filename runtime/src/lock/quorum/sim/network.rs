//! The way between clients and servers, drawn from a seed: delays, losses, one-way cuts, stopped servers, and requests that
//! overtake others because they went over another connection.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::server::Server;
use crate::clock::{self, Instant};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::quorum::master::{Acquired, Ask, Extended, Ledger, Look, Master, Owned, RunId, Token};

/// What may go wrong between a client and a server, drawn once.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    /// The usual delay of one way, in milliseconds at most.
    pub(super) delay: u64,
    /// How often, of a thousand messages, one takes up to 2.5 s, and how often it is lost.
    pub(super) late: u32,
    pub(super) lost: u32,
    /// How often a request overtakes those before it.
    pub(super) overtakes: u32,
    /// When what the client sends is swallowed, when what the server answers, and when the server stands still.
    pub(super) cuts: Vec<(Way, Instant, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Requests,
    Answers,
    /// The server stands still, and goes on afterwards.
    Stopped,
}

impl Weather {
    /// When something that is sent at `at` arrives; `None` if it never does.
    fn arrives(&self, way: Way, at: Instant, rng: &mut fastrand::Rng) -> Option<Instant> {
        if self.cuts.iter().any(|(cut, from, to)| *cut == way && (*from..*to).contains(&at)) {
            return None;
        }
        if rng.u32(..1_000) < self.lost {
            return None;
        }
        let delay = if rng.u32(..1_000) < self.late { rng.u64(..2_500) } else { rng.u64(..=self.delay) };
        Some(at + Duration::from_millis(delay))
    }

    fn resumes(&self, at: Instant) -> Instant {
        let stopped =
            self.cuts.iter().filter(|(cut, from, to)| *cut == Way::Stopped && (*from..*to).contains(&at));
        stopped.map(|(_, _, to)| *to).max().unwrap_or(at)
    }
}

thread_local! {
    /// One simulation runs on a thread at a time.
    static RNG: RefCell<fastrand::Rng> = const { RefCell::new(fastrand::Rng::with_seed(0)) };
}

/// Everything that follows on this thread is drawn from the seed.
pub(super) fn seed(seed: u64) {
    RNG.with_borrow_mut(|rng| *rng = fastrand::Rng::with_seed(seed));
}

pub(super) fn draw<T>(draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
    RNG.with_borrow_mut(draw)
}

/// Everything that is on its way, delivered in the order of the times.
#[derive(Default)]
pub(super) struct Post {
    events: Mutex<BinaryHeap<Reverse<Event>>>,
    sent: Mutex<u64>,
    is_earlier: Notify,
}

struct Event {
    at: Instant,
    number: u64,
    step: Step,
}

type Step = Box<dyn FnOnce(&Post) + Send>;

impl Post {
    fn at(&self, at: Instant, step: Step) {
        let mut sent = self.sent.lock().unwrap();
        *sent += 1;
        let mut events = self.events.lock().unwrap();
        if events.peek().is_none_or(|Reverse(first)| at < first.at) {
            self.is_earlier.notify_one();
        }
        events.push(Reverse(Event { at, number: *sent, step }));
    }

    /// Delivers for ever.
    pub(super) async fn deliver(&self) {
        loop {
            let next = self.events.lock().unwrap().peek().map(|Reverse(event)| event.at);
            let Some(next) = next else {
                self.is_earlier.notified().await;
                continue;
            };
            if next > clock::now() {
                let _earlier = clock::within(next - clock::now(), self.is_earlier.notified()).await;
                continue;
            }
            let event = self.events.lock().unwrap().pop();
            if let Some(Reverse(event)) = event {
                (event.step)(self);
            }
        }
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

impl Event {
    fn order(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// One client's connection to one server.
#[derive(Debug)]
pub(super) struct SimMaster {
    name: String,
    server: Arc<Mutex<Server>>,
    weather: Arc<Weather>,
    link: Arc<Mutex<Link>>,
    post: Arc<Post>,
}

#[derive(Debug)]
struct Link {
    /// The run that was met when the connection was made.
    run: RunId,
    /// When the last request arrives: later ones not before it.
    last: Instant,
}

/// When a command that is not answered is given up.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

impl SimMaster {
    pub(super) fn new(server: &Arc<Mutex<Server>>, weather: Weather, post: &Arc<Post>) -> Self {
        let run = server.lock().unwrap().run().clone();
        Self {
            name: run.to_string(),
            server: Arc::clone(server),
            weather: Arc::new(weather),
            link: Arc::new(Mutex::new(Link { run, last: clock::now() })),
            post: Arc::clone(post),
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap()
    }

    /// Sends a request whose effect takes place whether or not anybody waits for the answer.
    async fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T> {
        let sent = clock::now();
        let (tell, told) = oneshot::channel();
        let (arrives, run) = {
            let mut link = self.link();
            let arrives = draw(|rng| {
                let overtakes = rng.u32(..1_000) < self.weather.overtakes;
                let arrives = self.weather.arrives(Way::Requests, sent, rng)?;
                Some(if overtakes { arrives } else { arrives.max(link.last) })
            });
            if let Some(arrives) = arrives {
                link.last = link.last.max(arrives);
            }
            (arrives, RunId::clone(&link.run))
        };
        let gives_up = sent + COMMAND_TIMEOUT;
        let timed_out = || Err(Error::new(ErrorKind::Timeout, "lock"));
        let Some(arrives) = arrives else {
            self.post.at(gives_up, Box::new(move |_| drop(tell.send(timed_out()))));
            return told.await.expect("the simulation goes on");
        };
        let (server, weather, link) =
            (Arc::clone(&self.server), Arc::clone(&self.weather), Arc::clone(&self.link));
        let step = move |post: &Post| {
            let mut server = server.lock().unwrap();
            let answer = if *server.run() == run {
                Ok(act(&mut server))
            } else {
                // The connection ended with the server, and another one is made.
                link.lock().unwrap().run = server.run().clone();
                Err(Error::new(ErrorKind::Unavailable, "lock"))
            };
            let back = draw(|rng| weather.arrives(Way::Answers, clock::now(), rng));
            match back.filter(|back| *back < gives_up) {
                Some(back) => post.at(back, Box::new(move |_| drop(tell.send(answer)))),
                None => post.at(gives_up, Box::new(move |_| drop(tell.send(timed_out())))),
            }
        };
        self.post.at(self.weather.resumes(arrives), Box::new(step));
        told.await.expect("the simulation goes on")
    }
}

fn copy(ask: &Ask) -> Ask {
    Ask { key: ask.key.clone(), ..*ask }
}

impl Master for SimMaster {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_run(&self, run: &RunId) -> bool {
        self.link().run == *run
    }

    async fn acquire(&self, ask: &Ask, proposal: Token) -> Result<Acquired> {
        let ask = copy(ask);
        self.call(move |server| server.acquire(&ask, proposal)).await
    }

    async fn extend(&self, ask: &Ask, token: Token) -> Result<Extended> {
        let ask = copy(ask);
        self.call(move |server| server.extend(&ask, token)).await
    }

    async fn raise(&self, ask: &Ask, token: Token) -> Result<Owned> {
        let ask = copy(ask);
        self.call(move |server| server.raise(&ask, token)).await
    }

    async fn release(&self, ask: &Ask) -> Result<Owned> {
        let ask = copy(ask);
        self.call(move |server| server.release(&ask)).await
    }

    async fn look(&self) -> Result<Look> {
        self.call(|server| server.look()).await
    }

    async fn admit(&self, ledger: &Ledger, over: Option<&RunId>) -> Result<Owned> {
        let (ledger, over) = (ledger.clone(), over.cloned());
        self.call(move |server| server.admit(&ledger, over.as_ref())).await
    }
}
