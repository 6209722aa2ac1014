//! Every failure of a lock says whether the body ran, and says the truth.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keylatch::{Keylatch, LockBuilder, LockError};

use crate::support::proxy::Mode;
use crate::support::redis_server::free_port;
use crate::support::{Proxy, RedisServer, keylatch};

/// Why a lock was not had or not kept, and how often its body began. A body that begins never ends.
async fn failed(lock: LockBuilder) -> (LockError, u32) {
    let began = AtomicU32::new(0);
    let body = async |_lease| {
        began.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await;
    };
    let error = lock.run(body).await.expect_err("it is not had, or not kept");
    (error, began.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_says_whether_the_body_ran() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let held = cache.lock("held").ttl(Duration::from_secs(60)).acquire().await.unwrap();
    // One master of three is there.
    let nobody = || format!("redis://127.0.0.1:{}", free_port());
    let masters = Keylatch::builder().lock_urls([server.url(), nobody(), nobody()]).namespace("masters");
    let masters = masters.build().expect("good settings");
    // What the server answers does not come: it does what it is asked for.
    let proxy = Proxy::to(server.port()).await;
    let limit = Duration::from_secs(1);
    let mute = Keylatch::builder().redis_url(proxy.url()).namespace("mute").command_timeout(limit);
    let mute = mute.build().expect("good settings");
    mute.lock("warm").run(async |_lease| ()).await.unwrap();
    proxy.set(Mode::SwallowAnswers);
    let absent = Keylatch::builder().redis_url(nobody()).namespace("test").build().expect("good settings");

    let short = Duration::from_secs(1);
    let asked = [
        ("Busy", cache.lock("held").wait(Duration::ZERO)),
        ("Timeout", cache.lock("held").wait(Duration::from_millis(60))),
        ("NotCovered", cache.lock("free").within(&held)),
        ("NoQuorum", masters.lock("free").wait(Duration::ZERO)),
        ("NoQuorum", masters.lock("free").wait(Duration::from_millis(60))),
        ("Unknown", absent.lock("free")),
        ("Unknown", mute.lock("free")),
        ("Lost", cache.lock("free").ttl(short).extend_off()),
        ("Lost", cache.lock_all(["free", "other"]).ttl(short).extend_off()),
    ];
    for (name, lock) in asked {
        let (error, began) = failed(lock).await;
        assert_eq!(format!("{error:?}").split(' ').next(), Some(name), "{error}");
        assert_eq!((error.body_ran(), began), (name == "Lost", u32::from(name == "Lost")), "{name}: {error}");
    }
    held.release().await.unwrap();
}
