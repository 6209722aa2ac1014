//! What callers of each kind see of a fault. Each kind has an instance of its own, so that none profits from what another
//! has found out already.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::redis::AsyncCommands;
use keylatch::{BreakerState, Builder, CachedCall, Error, Keylatch, LockError, cached, with_lock};
use redis::RedisError;

/// The default limit of a look-up, and the limit of a command that the witnesses have.
pub(super) const LOOK_UP: Duration = Duration::from_millis(500);
pub(super) const COMMAND: Duration = Duration::from_secs(1);
/// What a busy machine may add to a wait.
pub(super) const SLACK: Duration = Duration::from_millis(300);
/// What waits for nothing is over by then.
pub(super) const AT_ONCE: Duration = Duration::from_millis(100);
/// How long a fault is felt after its end where the next probe finds that out, and probes have not become rare yet:
/// 10 to 60 ms were measured.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// The same where a probe that is not answered, or a pause of a second, comes first: up to 1.1 s were measured.
pub(super) const PROBED: Duration = Duration::from_secs(2);
/// The same where the next call succeeds: whoever asks again and again is answered by then.
pub(super) const NEXT_CALL: Duration = Duration::from_millis(500);
/// How long a test waits for what is no figure of a fault.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A process that uses the cache.
pub(super) struct Service {
    pub(super) cache: Keylatch,
    pub(super) runs: AtomicU32,
    pub(super) version: AtomicU64,
    pub(super) locked: AtomicU32,
}

#[cached(key = "value:{id}", ttl = "10m", local = off, skip(service), using = service.cache)]
pub(super) async fn value(service: &Service, id: u64) -> u64 {
    service.runs.fetch_add(1, Ordering::SeqCst);
    service.version.load(Ordering::SeqCst) * 1_000 + id
}

impl Service {
    pub(super) fn on(builder: Builder) -> Self {
        let cache = builder.build().expect("good settings");
        Self { cache, runs: AtomicU32::new(0), version: AtomicU64::new(1), locked: AtomicU32::new(0) }
    }

    pub(super) fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    #[with_lock(key = "job", ttl = "10s", wait = "5s", using = self.cache)]
    pub(super) async fn job(&self) -> Result<(), LockError> {
        self.locked.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    pub(super) async fn set(&self) -> Result<(), RedisError> {
        self.connection().set("plain", 1).await
    }

    pub(super) async fn get(&self) -> Result<Option<u64>, RedisError> {
        self.connection().get("plain").await
    }

    pub(super) async fn pipeline(&self) -> Result<(), RedisError> {
        redis::pipe().set("plain", 1).get("plain").exec_async(&mut self.connection()).await
    }

    pub(super) fn connection(&self) -> keylatch::Connection {
        self.cache.connection().expect("there is a server")
    }

    /// The breaker of the only server. While it is closed, the server is asked how it is, which counts as a command.
    pub(super) async fn breaker(&self) -> keylatch::BreakerStatus {
        self.cache.health().await.servers.first().expect("one server").breaker.clone()
    }

    /// Whether calls are answered from entries of the server, not of this process.
    pub(super) async fn hits(&self) -> bool {
        value(self, 1).await;
        let before = self.runs();
        value(self, 1).await;
        let hit = self.runs() == before;
        hit && self.breaker().await.state == BreakerState::Closed
    }
}

/// How one kind of call ended, and how long it took.
#[derive(Debug)]
pub(super) struct Took<T>(pub(super) T, pub(super) Duration);

pub(super) async fn timed<T>(call: impl Future<Output = T>) -> Took<T> {
    let began = Instant::now();
    let outcome = call.await;
    Took(outcome, began.elapsed())
}

/// One call of each kind.
#[derive(Debug)]
pub(super) struct Seen {
    /// Whether the body ran.
    pub(super) cached: Took<bool>,
    pub(super) invalidated: Took<Result<(), Error>>,
    pub(super) locked: Took<Result<(), LockError>>,
    pub(super) set: Took<Result<(), RedisError>>,
    pub(super) got: Took<Result<Option<u64>, RedisError>>,
}

/// When each kind worked again.
#[derive(Debug)]
pub(super) struct Healed {
    cached: Duration,
    invalidated: Duration,
    locked: Duration,
    commands: Duration,
}

impl Healed {
    /// When all of them did.
    pub(super) fn last(&self) -> Duration {
        self.cached.max(self.invalidated).max(self.locked).max(self.commands)
    }
}

/// See the module.
pub(super) struct Witness {
    pub(super) reader: Service,
    pub(super) invalidator: Service,
    pub(super) locker: Service,
    pub(super) setter: Service,
    pub(super) getter: Service,
}

impl Witness {
    /// On whatever `url` leads to.
    pub(super) fn at(url: &str) -> Self {
        Self::with(|| at(url))
    }

    pub(super) fn with(builder: impl Fn() -> Builder) -> Self {
        let service = || Service::on(builder());
        Self {
            reader: service(),
            invalidator: service(),
            locker: service(),
            setter: service(),
            getter: service(),
        }
    }

    pub(super) fn all(&self) -> [&Service; 5] {
        [&self.reader, &self.invalidator, &self.locker, &self.setter, &self.getter]
    }

    /// Everything works, and the entry is there.
    pub(super) async fn works(&self) {
        let seen = self.look().await;
        assert!(
            seen.invalidated.0.is_ok() && seen.locked.0.is_ok() && seen.set.0.is_ok() && seen.got.0.is_ok(),
            "before the fault: {seen:?}"
        );
        for service in self.all() {
            assert!(service.hits().await, "before the fault there are hits");
        }
    }

    /// One call of each kind, all at the same time.
    pub(super) async fn look(&self) -> Seen {
        let cached = async {
            let before = self.reader.runs();
            assert_eq!(value(&self.reader, 1).await % 1_000, 1, "never a wrong answer");
            self.reader.runs() > before
        };
        let (cached, invalidated, locked, set, got) = tokio::join!(
            timed(cached),
            timed(async { value(&self.invalidator, 2).invalidate().await }),
            timed(self.locker.job()),
            timed(self.setter.set()),
            timed(self.getter.get()),
        );
        Seen { cached, invalidated, locked, set, got }
    }

    /// How long after now each kind works again.
    ///
    /// # Panics
    /// If that is not within `limit`.
    pub(super) async fn heals(&self, name: &str, limit: Duration) -> Healed {
        let commands = async {
            let set = timed(again(limit, async || self.setter.set().await.is_ok())).await.1;
            set.max(timed(again(limit, async || self.getter.get().await.is_ok())).await.1)
        };
        let (cached, invalidated, locked, commands) = tokio::join!(
            Box::pin(timed(again(limit, async || self.reader.hits().await))),
            Box::pin(timed(again(limit, async || self.invalidator.hits().await
                && value(&self.invalidator, 2).invalidate().await.is_ok()))),
            timed(again(limit, async || self.locker.job().await.is_ok())),
            commands,
        );
        let healed = Healed { cached: cached.1, invalidated: invalidated.1, locked: locked.1, commands };
        eprintln!("{name}: healed {healed:?}");
        // The last try may have begun in time and taken long.
        assert!(healed.last() < limit, "{name}: {healed:?}");
        healed
    }
}

/// Repeats until it is so.
pub(super) async fn again(limit: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so().await {
        assert!(Instant::now() < deadline, "it does not heal within {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Half of them were shorter.
pub(super) fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long something may take whose own limit is `own`, where nothing is waited for longer than `waits`. What waits
/// for nothing has no excuse.
fn bound(waits: Duration, own: Duration) -> Duration {
    if waits == AT_ONCE { AT_ONCE } else { waits.min(own) + SLACK }
}

/// An instance with the witnesses' limits.
pub(super) fn at(url: &str) -> Builder {
    Keylatch::builder().redis_url(url).namespace("test").command_timeout(COMMAND)
}

impl Seen {
    /// The server is of no use: bodies answer, everything else is refused, and nobody waits longer than his limit and
    /// `waits` says.
    pub(super) fn fails_within(&self, name: &str, waits: Duration) -> &Self {
        eprintln!("{name}: {}", self.summary());
        assert!(self.cached.0, "{name}: the body answers");
        assert!(self.cached.1 < bound(waits, LOOK_UP), "{name}: {:?}", self.cached);
        let (Err(invalidated), Err(locked), Err(set), Err(got)) =
            (&self.invalidated.0, &self.locked.0, &self.set.0, &self.got.0)
        else {
            panic!("{name}: something claims to have worked: {self:?}");
        };
        assert!(matches!(locked, LockError::Unknown { .. }) && !locked.body_ran(), "{name}: {locked}");
        let texts = [invalidated.to_string(), locked.to_string(), set.to_string(), got.to_string()];
        assert!(texts.iter().all(|text| !text.is_empty()), "{name}: {texts:?}");
        for took in [self.invalidated.1, self.locked.1, self.set.1, self.got.1] {
            assert!(took < bound(waits, COMMAND), "{name}: {took:?}: {self:?}");
        }
        self
    }

    /// Everything works, though maybe late.
    pub(super) fn works_within(&self, name: &str, waits: Duration) -> &Self {
        eprintln!("{name}: {}", self.summary());
        for took in [self.cached.1, self.invalidated.1, self.locked.1, self.set.1, self.got.1] {
            assert!(took < bound(waits, COMMAND), "{name}: {took:?}: {self:?}");
        }
        assert!(!self.cached.0, "{name}: an entry answers");
        assert!(
            self.invalidated.0.is_ok() && self.locked.0.is_ok() && self.set.0.is_ok() && self.got.0.is_ok(),
            "{name}: {self:?}"
        );
        self
    }

    /// The slowest of all calls.
    pub(super) fn slowest(&self) -> Duration {
        let all = [self.cached.1, self.invalidated.1, self.locked.1, self.set.1, self.got.1];
        all.into_iter().fold(Duration::ZERO, Duration::max)
    }

    /// The second look: what was computed meanwhile answers, and the rest fails by then.
    pub(super) fn again(&self, name: &str, within: Duration) {
        assert!(self.cached.1 < within.min(LOOK_UP), "{name}: {:?}", self.cached);
        assert!(
            self.invalidated.0.is_err()
                && self.locked.0.is_err()
                && self.set.0.is_err()
                && self.got.0.is_err(),
            "{name}: {self:?}"
        );
        for took in [self.invalidated.1, self.locked.1, self.set.1, self.got.1] {
            assert!(took < within, "{name}: {took:?}");
        }
    }

    fn summary(&self) -> String {
        let outcome = |ok: bool| if ok { "ok" } else { "error" };
        format!(
            "cached {} {:?} | invalidation {} {:?} | lock {} {:?} | set {} {:?} | get {} {:?}",
            if self.cached.0 { "body" } else { "entry" },
            self.cached.1,
            outcome(self.invalidated.0.is_ok()),
            self.invalidated.1,
            outcome(self.locked.0.is_ok()),
            self.locked.1,
            outcome(self.set.0.is_ok()),
            self.set.1,
            outcome(self.got.0.is_ok()),
            self.got.1,
        )
    }
}
