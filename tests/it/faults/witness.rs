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
/// What a busy machine may add.
pub(super) const SLACK: Duration = Duration::from_millis(300);
/// What fails without waiting for anything is over by then.
pub(super) const AT_ONCE: Duration = Duration::from_millis(100);
/// How long healing may take that is not bound by a time-out.
pub(super) const HEALED: Duration = Duration::from_secs(5);

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

    pub(super) fn connection(&self) -> keylatch::Connection {
        self.cache.connection().expect("there is a server")
    }

    /// The breaker of the only server, without asking the server.
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

async fn timed<T>(call: impl Future<Output = T>) -> Took<T> {
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
#[expect(dead_code, reason = "shown by `Debug`")]
pub(super) struct Healed {
    pub(super) cached: Duration,
    pub(super) invalidated: Duration,
    pub(super) locked: Duration,
    pub(super) commands: Duration,
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
        assert!(self.cached.1 < waits.min(LOOK_UP) + SLACK, "{name}: {:?}", self.cached);
        let (Err(invalidated), Err(locked), Err(set), Err(got)) =
            (&self.invalidated.0, &self.locked.0, &self.set.0, &self.got.0)
        else {
            panic!("{name}: something claims to have worked: {self:?}");
        };
        assert!(matches!(locked, LockError::Unknown { .. }) && !locked.body_ran(), "{name}: {locked}");
        let texts = [invalidated.to_string(), locked.to_string(), set.to_string(), got.to_string()];
        assert!(texts.iter().all(|text| !text.is_empty()), "{name}: {texts:?}");
        for took in [self.invalidated.1, self.locked.1, self.set.1, self.got.1] {
            assert!(took < waits.min(COMMAND) + SLACK, "{name}: {took:?}: {self:?}");
        }
        self
    }

    /// Everything works, though maybe late.
    pub(super) fn works_within(&self, name: &str, waits: Duration) -> &Self {
        eprintln!("{name}: {}", self.summary());
        for took in [self.cached.1, self.invalidated.1, self.locked.1, self.set.1, self.got.1] {
            assert!(took < waits + SLACK, "{name}: {took:?}: {self:?}");
        }
        assert!(!self.cached.0, "{name}: an entry answers");
        assert!(
            self.invalidated.0.is_ok() && self.locked.0.is_ok() && self.set.0.is_ok() && self.got.0.is_ok(),
            "{name}: {self:?}"
        );
        self
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
