//! R9: servers whose clock is set while they run, by a library that is loaded before the C library's: each server by itself. This
//! needs a C compiler and a dynamic loader that takes `LD_PRELOAD`. Where they are missing, these tests fail, unless
//! `KEYLATCH_TEST_WITHOUT_CLOCKS` says that it is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keylatch::{Keylatch, LockError};
use tempfile::TempDir;

use super::{History, Masters, lock, over, through};
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer, keylatch, until};

const TTL: Duration = Duration::from_secs(2);
/// Set forward by so many seconds, a clock has left behind whatever was locked before.
const FORWARD: i64 = 3;

/// The variable that leaves these tests out.
const WITHOUT: &str = "KEYLATCH_TEST_WITHOUT_CLOCKS";
const REMEDY: &str = "Clocks of servers are set by a library that a C compiler makes and `LD_PRELOAD` loads. Install one \
                      (apt-get install gcc libc6-dev; dnf install gcc; pacman -S gcc), or leave these tests out by \
                      `KEYLATCH_TEST_WITHOUT_CLOCKS=1`";

/// Adds the seconds in a file to the wall clock, and leaves the monotonic one alone.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
    static volatile long *mapped;
    if (!mapped) {
        int file = open(getenv("CLOCK_OFFSET_FILE"), O_RDONLY);
        mapped = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
        close(file);
    }
    return *mapped;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *now) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (now) *now = time.tv_sec;
    return time.tv_sec;
}
"#;

/// Masters whose clocks can be set.
struct Clocks {
    masters: Masters,
    directory: TempDir,
}

impl Clocks {
    /// `None` where these tests are left out.
    fn start(count: usize) -> Option<Self> {
        if std::env::var_os(WITHOUT).is_some() {
            eprintln!("clocks are not set: {WITHOUT} is there");
            return None;
        }
        let directory = TempDir::with_prefix("keylatch-clock").expect("a temporary directory");
        let shim = compile(directory.path());
        let servers = (0..count).map(|index| {
            let offset = directory.path().join(index.to_string());
            fs::write(&offset, 0_i64.to_ne_bytes()).expect("a writable file");
            let environment = [("LD_PRELOAD", &*shim), ("CLOCK_OFFSET_FILE", &*offset)];
            RedisServer::start_in(&environment)
        });
        let masters = Masters { servers: servers.collect() };
        let clocks = Self { masters, directory };
        clocks.set(0, 1_000_000);
        let takes_it = clocks.tells(0, |ahead| ahead > 900_000);
        clocks.set(0, 0);
        assert!(takes_it, "the server, linked statically perhaps, takes no other clock. {REMEDY}");
        assert!(clocks.tells(0, |ahead| ahead < 900_000), "its clock does not go back");
        Some(clocks)
    }

    /// Whether a server's clock comes to be so many seconds ahead. It looks at it once a turn, and then tells that time.
    fn tells(&self, index: usize, is_so: impl Fn(u64) -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let told = self.masters.servers[index].query(&["TIME"]).expect("the server answers");
            let (told, _): (u64, u64) = redis::from_redis_value(told).expect("seconds and microseconds");
            let real = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
            if is_so(told.saturating_sub(real)) {
                return true;
            }
            eprintln!("the server tells {told}, it is {real}");
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// By so many seconds from the real time, from now on.
    fn set(&self, index: usize, seconds: i64) {
        use std::io::{Seek, Write};
        let path = self.directory.path().join(index.to_string());
        let mut file = fs::OpenOptions::new().write(true).open(path).expect("the file is there");
        file.rewind().and_then(|()| file.write_all(&seconds.to_ne_bytes())).expect("a writable file");
    }
}

fn compile(directory: &Path) -> PathBuf {
    let (source, shim) = (directory.join("clock.c"), directory.join("clock.so"));
    fs::write(&source, SHIM).expect("a writable directory");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(&source).output();
    let output = compiled.unwrap_or_else(|error| panic!("cc: {error}. {REMEDY}"));
    assert!(output.status.success(), "cc: {}. {REMEDY}", String::from_utf8_lossy(&output.stderr));
    shim
}

/// What a resource does that checks tokens: it has its own idea of the highest.
#[derive(Debug, Default)]
struct Resource {
    highest: u64,
    refused: u32,
}

impl Resource {
    fn write(&mut self, token: u64) -> bool {
        let is_fresh = token >= self.highest;
        self.highest = self.highest.max(token);
        self.refused += u32::from(!is_fresh);
        is_fresh
    }
}

async fn a_minority_of_clocks(count: usize, set: &[usize]) {
    let Some(clocks) = Clocks::start(count) else { return };
    let masters = &clocks.masters;
    let (cache, others, history) = (masters.keylatch(), masters.keylatch(), History::default());
    let holder = async {
        let had = lock(&cache, "clock", TTL);
        had.run(async |lease| history.visit(lease, 2 * TTL).await).await.expect("a majority keeps it");
    };
    let contender = async {
        until("it is not held on all", || masters.holding("clock") == count).await;
        for &index in set {
            clocks.set(index, FORWARD);
        }
        let mut tries = 0;
        while history.overlaps() == 0 {
            match lock(&others, "clock", TTL).wait(Duration::ZERO).acquire().await {
                Ok(guard) => {
                    history.visit(guard.lease().clone(), Duration::from_millis(1)).await;
                    guard.release().await.unwrap();
                    break;
                }
                Err(LockError::Busy { .. } | LockError::NoQuorum { .. }) => tries += 1,
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(tries > 50, "it was free too soon: {tries}");
    };
    tokio::join!(holder, contender);
    assert_eq!((history.overlaps(), history.regressions()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_clock_of_three_set_forward_changes_nothing() {
    a_minority_of_clocks(3, &[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clocks_of_five_set_forward_change_nothing() {
    a_minority_of_clocks(5, &[1, 2]).await;
}

/// Clocks are set forward under a lock that is held on so many masters. Two have it at once then; a resource that checks tokens
/// refuses the one that was overtaken, which is told in time.
async fn overtaken(clocks: &Clocks, holder: &Keylatch, held: usize, set: &[usize]) {
    let others = clocks.masters.keylatch();
    lock(&others, "warm", TTL).acquire().await.unwrap().release().await.unwrap();
    let mut resource = Resource::default();
    let first = lock(holder, "clock", TTL).acquire().await.unwrap();
    let older = first.lease().token().unwrap().get();
    until("it is not held where it can be", || clocks.masters.holding("clock") == held).await;
    assert!(resource.write(older));
    for &index in set {
        clocks.set(index, FORWARD);
    }
    let second = lock(&others, "clock", TTL).wait(TTL).acquire().await.unwrap();
    let both = first.lease().check().is_ok();
    assert!(resource.write(second.lease().token().unwrap().get()));
    assert!(!resource.write(older), "a stale write was accepted");
    assert_eq!(resource.refused, 1);
    // Otherwise nothing was shown that needs a token.
    assert!(both, "the first had lost it before the second had it");
    tokio::time::timeout(TTL, first.lease().lost()).await.expect("it is never told");
    second.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_majority_of_clocks_set_forward_is_what_tokens_are_for() {
    let Some(clocks) = Clocks::start(3) else { return };
    overtaken(&clocks, &clocks.masters.keylatch(), 3, &[0, 1]).await;
}

/// The holder does not reach the last master, so that the clocks of a minority suffice.
async fn a_minority_of_clocks_with_one_more_cut(count: usize, set: &[usize]) {
    let Some(clocks) = Clocks::start(count) else { return };
    let mine = clocks.masters.proxies().await;
    let holder = through(&mine);
    // All vote, and it knows them.
    lock(&holder, "warm", TTL).acquire().await.unwrap().release().await.unwrap();
    mine[count - 1].set(Mode::Refuse);
    overtaken(&clocks, &holder, count - 1, set).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_clock_of_three_and_one_cut_are_what_tokens_are_for() {
    a_minority_of_clocks_with_one_more_cut(3, &[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clocks_of_five_and_one_cut_are_what_tokens_are_for() {
    a_minority_of_clocks_with_one_more_cut(5, &[1, 2]).await;
}

/// A clock that was set back makes a life longer there: a holder that died is waited for on that one alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_set_back_holds_nobody_up_while_a_majority_is_right() {
    let Some(clocks) = Clocks::start(3) else { return };
    let masters = &clocks.masters;
    let (cache, others) = (masters.proxies().await, masters.keylatch());
    let died = over(cache.iter().map(Proxy::url)).build().unwrap();
    let guard = lock(&died, "clock", TTL).acquire().await.unwrap();
    until("it is not held on all", || masters.holding("clock") == 3).await;
    clocks.set(2, -30);
    for proxy in &cache {
        proxy.set(Mode::Refuse);
    }
    let began = Instant::now();
    let next = lock(&others, "clock", TTL).wait(4 * TTL).acquire().await.unwrap();
    assert!(began.elapsed() < TTL + Duration::from_millis(500), "{:?}", began.elapsed());
    eprintln!("had after {:?}; the one set back still holds the old value", began.elapsed());
    next.release().await.unwrap();
    drop(guard);
}

/// The master whose clock was set is found out by the next extension, and does not vote for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_set_is_found_out_within_one_extension() {
    let Some(clocks) = Clocks::start(3) else { return };
    let masters = &clocks.masters;
    let cache = masters.keylatch();
    let guard = lock(&cache, "clock", TTL).acquire().await.unwrap();
    until("it is not held on all", || masters.holding("clock") == 3).await;
    clocks.set(1, -30);
    tokio::time::sleep(TTL / 3 + Duration::from_millis(200)).await;
    // Its vote would be needed for another lock, with one more stopped.
    masters.servers[0].signal("STOP");
    let refused = lock(&cache, "another", TTL).wait(Duration::ZERO).acquire().await;
    masters.servers[0].signal("CONT");
    let Err(LockError::NoQuorum { votes, .. }) = refused else { panic!("{refused:?}") };
    assert!(matches!(votes[1].vote, Err(keylatch::NoVote::Distrusted)), "{votes:?}");
    guard.lease().check().expect("it is held");
}

/// On one master, too, an extension tells that the clock was set: the lock is then lost before the server can end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_masters_clock_set_forward_is_found_out_within_one_extension() {
    let Some(clocks) = Clocks::start(1) else { return };
    let cache = keylatch(&clocks.masters.servers[0]);
    let ttl = 2 * TTL;
    let guard = cache.lock("clock").ttl(ttl).acquire().await.unwrap();
    tokio::time::sleep(ttl / 2).await;
    guard.lease().check().expect("its clock goes right");
    clocks.set(0, 1);
    let set = Instant::now();
    tokio::time::timeout(ttl / 2, guard.lease().lost()).await.expect("it is not found out");
    assert!(set.elapsed() < ttl / 3 + Duration::from_millis(500), "{:?}", set.elapsed());
}
