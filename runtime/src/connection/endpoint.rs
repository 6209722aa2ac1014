//! One server: several connections to it, behind one circuit breaker. Which of them a command goes over, the pool decides.

use std::sync::Arc;
#[cfg(feature = "upstash")]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use serde::Serialize;

use super::attempt::Attempt;
use super::breaker::{Breaker, BreakerStatus, Change};
use super::failure::{Failed, Health, failed, health, is_read_only};
use super::greeting::Role;
use super::link::{Link, Live};
use super::place::Place;
use super::pool::Pool;
use super::prober;
use super::request::{Request, Server};
use super::{Address, Limits};
use crate::clock::{self, Instant};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Via;

/// How long a connection over which nothing came for a while has to answer a `PING`.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Endpoint(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    address: String,
    limits: Limits,
    transport: Transport,
    /// Dialled when this process first waits for a lock there.
    inbox: Option<Link>,
    place: Arc<Place>,
    pub(super) breaker: Breaker,
    pub(super) probing: AtomicBool,
    /// Requests that were answered without a connection that counts them.
    #[cfg(feature = "upstash")]
    answered_over_rest: AtomicU64,
}

/// How commands get to the server.
#[derive(Debug)]
enum Transport {
    Pool(Pool),
    #[cfg(feature = "upstash")]
    Rest(super::rest::Rest),
}

/// A server as its users see it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// Host and port, or the path of the socket.
    pub address: String,
    /// Its circuit breaker.
    pub breaker: BreakerStatus,
    /// Live connections to it.
    pub connections: usize,
}

impl Endpoint {
    pub(super) fn new(address: &Address, role: Role, limits: Limits, place: Arc<Place>) -> Result<Self> {
        let links = (0..limits.pool_size.max(1))
            .map(|_| Link::new(address, role, limits, Arc::clone(&place)))
            .collect::<Result<_>>()?;
        let inbox = Link::inbox(address, limits, Arc::clone(&place))?;
        Ok(Self::over(address.to_string(), limits, place, Transport::Pool(Pool::new(links)), Some(inbox)))
    }

    #[cfg(feature = "upstash")]
    pub(super) fn rest(rest: super::rest::Rest, limits: Limits, place: Arc<Place>) -> Self {
        Self::over(rest.address().to_owned(), limits, place, Transport::Rest(rest), None)
    }

    fn over(
        address: String,
        limits: Limits,
        place: Arc<Place>,
        transport: Transport,
        inbox: Option<Link>,
    ) -> Self {
        Self(Arc::new(Inner {
            breaker: Breaker::new(address.clone(), limits.breaker),
            address,
            limits,
            transport,
            inbox,
            place,
            probing: AtomicBool::new(false),
            #[cfg(feature = "upstash")]
            answered_over_rest: AtomicU64::new(0),
        }))
    }

    /// Commands that are neither answered nor given up.
    pub(super) fn under_way(&self) -> u64 {
        self.0.links().iter().map(|link| link.traffic().under_way()).sum()
    }

    /// How often the breaker has opened.
    pub(super) fn opened(&self) -> u64 {
        self.0.breaker.opened()
    }

    pub(super) fn address(&self) -> &str {
        &self.0.address
    }

    /// Whether both are the same, with the same connections.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn place(&self) -> &Arc<Place> {
        &self.0.place
    }

    /// Whether the breaker lets commands through.
    pub(super) fn is_open_for_use(&self) -> bool {
        self.0.breaker.is_closed()
    }

    /// A connection of the caller's own: nothing else is sent over it, and nothing times out. Whether it could be had says as
    /// much about the server as any command does.
    pub(super) async fn dedicated(&self) -> Result<MultiplexedConnection> {
        let Some(link) = self.0.links().first() else {
            return Err(Error::new(ErrorKind::Configuration, "connect")
                .with("server", &self.0.address)
                .with("fault", "there are no connections over REST"));
        };
        if !self.is_open_for_use() {
            prober::ensure(&self.0);
            return Err(self.0.breaker.refusal());
        }
        let attempt = Attempt::new(&self.0);
        let dialled = link.dedicated().await;
        let _no_connection = attempt.answered();
        dialled.inspect_err(|error| {
            let change = self.0.breaker.trip(|| error.clone());
            prober::after(&self.0, change);
        })
    }

    /// The plain client.
    pub(super) fn client(&self) -> Result<redis::Client> {
        match self.0.links().first() {
            Some(link) => Ok(link.client()),
            None => Err(Error::new(ErrorKind::Configuration, "connect")
                .with("server", &self.0.address)
                .with("fault", "there are no connections over REST")),
        }
    }

    pub(super) fn status(&self) -> EndpointStatus {
        EndpointStatus {
            address: self.0.address.clone(),
            breaker: self.0.breaker.status(self.0.answered()),
            connections: self.0.links().iter().filter(|link| link.current().is_some()).count(),
        }
    }

    /// Whether the server tells its connections of changes.
    pub(super) fn is_tracking(&self) -> bool {
        self.0.links().iter().find_map(Link::current).is_some_and(|live| live.tracking)
    }

    /// Whether this process is told of locks that the server hands to it.
    pub(super) fn is_listening(&self) -> bool {
        self.0.inbox.as_ref().is_some_and(Link::is_there)
    }

    /// Sees to that; whether it could be done.
    pub(super) async fn listen(&self) -> bool {
        match &self.0.inbox {
            Some(inbox) if self.is_open_for_use() => inbox.dialled().await.is_ok(),
            _ => false,
        }
    }

    /// Sends one command, whatever kind of server it is.
    pub(super) async fn ask(&self, cmd: &redis::Cmd) -> Result<Value, Failed> {
        let (answer, _) = self.send(Request::Command(cmd), Server::Any, false, clock::now()).await?;
        Ok(answer)
    }

    /// Sends one request over one of the connections, at the time `began`; the answer, and over which it came.
    pub(super) async fn send(
        &self,
        request: Request<'_>,
        server: Server,
        asking: bool,
        began: Instant,
    ) -> Result<(Value, Option<Via>), Failed> {
        let inner = &*self.0;
        if !inner.breaker.is_closed() {
            prober::ensure(&self.0);
            return Err(Failed::NotSent(inner.breaker.refusal()));
        }
        #[cfg_attr(
            not(feature = "upstash"),
            expect(clippy::infallible_destructuring_match, reason = "there is one transport without REST")
        )]
        let pool = match &inner.transport {
            Transport::Pool(pool) => pool,
            #[cfg(feature = "upstash")]
            Transport::Rest(rest) => {
                let attempt = Attempt::new(&self.0);
                let answer = Box::pin(request.over_rest(rest)).await;
                if is_answer(Some(&answer)) {
                    inner.answered_over_rest.fetch_add(1, Ordering::Relaxed);
                    // Without a connection there is nothing over which it could tell of changes.
                    inner.place.hub().untold(&inner.address);
                }
                let _no_connection = attempt.answered();
                return Ok((self.judged(answer, None)?, None));
            }
        };
        let micros = pool.micros(began);
        let (index, live) = match pool.pick(micros) {
            Some(picked) => picked,
            // On the heap, as all that is rare: in place it would make the way of every command longer.
            None => (0, Box::pin(self.first(pool)).await?),
        };
        // Asked after the connection is there: the dial decides it.
        if server.must_be_familiar() && inner.place.is_strange() {
            return Err(Failed::NotSent(inner.strange()));
        }
        let (mut connection, via) = (live.connection(), live.via);
        let attempt = Attempt::over(&self.0, began, micros, index, live);
        let answer = if asking {
            Box::pin(request.asking(&mut connection)).await
        } else {
            request.over(&mut connection).await
        };
        let over = attempt.ended(is_answer(Some(&answer)));
        Ok((self.judged(answer, over.as_ref().map(|(index, live)| (*index, &**live)))?, Some(via)))
    }

    /// Draws the conclusions about the server from what came back.
    fn judged(&self, answer: RedisResult<Value>, over: Option<(usize, &Live)>) -> Result<Value, Failed> {
        let inner = &*self.0;
        let error = match answer {
            Ok(value) => {
                return Ok(value);
            }
            Err(error) => error,
        };
        let broken = || {
            if let Some((index, live)) = over {
                inner.links()[index].broken(live);
            }
        };
        let change = match health(&error) {
            Health::Serves => Change::None,
            Health::Broken => {
                broken();
                inner.breaker.failed(inner.answered(), || failed("send", &inner.address, error.clone()))
            }
            Health::Unready => inner.breaker.trip(|| failed("send", &inner.address, error.clone())),
            Health::Elsewhere => {
                if is_read_only(&error) {
                    // Demoted. A name may lead to the new primary by now.
                    broken();
                }
                inner.trouble();
                Change::None
            }
        };
        prober::after(&self.0, change);
        Err(Failed::Sent { server: inner.address.clone(), error })
    }

    /// There is no connection: dials the first.
    async fn first(&self, pool: &Pool) -> Result<Arc<Live>, Failed> {
        let Some(link) = pool.links().first() else {
            return Err(Failed::NotSent(Error::new(ErrorKind::Unavailable, "connect")));
        };
        let attempt = Attempt::new(&self.0);
        let dialled = link.dialled().await;
        let _no_connection = attempt.answered();
        match dialled {
            Ok(live) => {
                pool.fill_up();
                Ok(live)
            }
            Err(error) => {
                let change = self.0.breaker.trip(|| error.clone());
                prober::after(&self.0, change);
                Err(Failed::NotSent(error))
            }
        }
    }
}

impl Inner {
    fn links(&self) -> &[Link] {
        match &self.transport {
            Transport::Pool(pool) => pool.links(),
            #[cfg(feature = "upstash")]
            Transport::Rest(_) => &[],
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A time as connections count it.
    pub(super) fn micros(&self, at: Instant) -> u64 {
        match &self.transport {
            Transport::Pool(pool) => pool.micros(at),
            #[cfg(feature = "upstash")]
            Transport::Rest(_) => 0,
        }
    }

    /// How many commands have been answered.
    pub(super) fn answered(&self) -> u64 {
        #[cfg(feature = "upstash")]
        if matches!(self.transport, Transport::Rest(_)) {
            return self.answered_over_rest.load(Ordering::Relaxed);
        }
        self.links().iter().map(|link| link.traffic().answered()).sum()
    }

    /// Whoever knows which servers there are should look again.
    pub(super) fn trouble(&self) {
        self.place.hub().trouble.notify_one();
    }

    fn strange(&self) -> Error {
        Error::new(ErrorKind::Unavailable, "send")
            .with("server", &self.address)
            .remedy("it was restarted or replaced, and is read once it knows the last invalidations")
    }

    /// A command was given up, and nothing has come over its connection for a while.
    pub(super) fn unanswered(self: &Arc<Self>, over: Option<(usize, &Live)>, began: Instant, now: Instant) {
        let silent = || {
            Error::new(ErrorKind::Timeout, "send")
                .with("server", &self.address)
                .with("fault", "nothing came from it")
                .with("waited", format_args!("{:?}", now - began))
        };
        if let Some((_, live)) = over {
            live.suspect.store(true, Ordering::Relaxed);
        }
        // Connections that nothing was asked of say nothing for the server: the next caller would wait in vain over each.
        let (began, now) = (self.micros(began), self.micros(now));
        let change = if self.links().iter().any(|link| link.traffic().has_answered_since(began, now)) {
            self.breaker.failed(self.answered(), silent)
        } else {
            self.breaker.trip(silent)
        };
        if let (Change::None, Some((index, _))) = (change, over) {
            prober::check(self, index);
        }
        prober::after(self, change);
    }

    /// One call to find out whether the server is there: over a connection that there is, or a new one.
    pub(super) async fn probe(&self) -> Result<()> {
        #[cfg(feature = "upstash")]
        if let Transport::Rest(rest) = &self.transport {
            let ping = redis::cmd("PING");
            let answer = clock::within(PATIENCE, Request::Command(&ping).over_rest(rest)).await;
            return self.probed(answer).map(drop);
        }
        let links = self.links();
        let healthy = links.iter().position(Link::is_healthy);
        let index = healthy.or_else(|| links.iter().position(Link::is_there)).unwrap_or(0);
        if let Some(link) = links.get(index) {
            link.dialled().await?;
        }
        let outcome = self.ping(index).await;
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Timeout) {
            // Neither a command nor this call was answered. The next one dials, in case only the connections have died.
            links.iter().for_each(Link::give_up);
        }
        outcome
    }

    /// Connections over which nothing came for a while.
    pub(super) fn suspects(&self) -> impl Iterator<Item = usize> {
        let links = self.links().iter().enumerate();
        links.filter(|(_, link)| link.is_there() && !link.is_healthy()).map(|(index, _)| index)
    }

    /// Asks over one connection, and gives it up if nothing comes.
    pub(super) async fn ping(&self, index: usize) -> Result<()> {
        let Some(live) = self.links()[index].current() else { return Ok(()) };
        let ping = redis::cmd("PING");
        let answer = clock::within(PATIENCE, Request::Command(&ping).over(&mut live.connection())).await;
        if matches!(answer, None | Some(Err(_))) && !is_answer(answer.as_ref()) {
            self.links()[index].broken(&live);
        } else {
            live.suspect.store(false, Ordering::Relaxed);
        }
        self.probed(answer)
    }

    fn probed(&self, answer: Option<RedisResult<Value>>) -> Result<()> {
        match answer {
            Some(Ok(_)) => Ok(()),
            // An error about the command, such as a missing permission, is an answer all the same.
            Some(Err(error)) if health(&error) == Health::Serves => Ok(()),
            Some(Err(error)) => Err(failed("probe", &self.address, error)),
            None => Err(Error::new(ErrorKind::Timeout, "probe")
                .with("server", &self.address)
                .with("limit", format_args!("{PATIENCE:?}"))),
        }
    }
}

fn is_answer(answer: Option<&RedisResult<Value>>) -> bool {
    answer.is_some_and(|answer| answer.as_ref().err().is_none_or(|error| health(error) != Health::Broken))
}
