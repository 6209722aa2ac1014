//! The same over REST: all of it on our own stand-in, and on the public one as much as that has. What waits on the
//! server needs a connection, and there is none.

use keylatch::{Connection, Keylatch};
use redis::{AsyncCommands, ErrorKind, RedisResult};

use super::{use_bytes, use_every_type, use_pipelines, use_scripts, use_transactions};
use crate::connection::built;
use crate::support::npm::PublicStandIn;
use crate::support::{RedisServer, Upstash};

/// What is no text, and so cannot be part of JSON.
const BINARY: &[u8] = &[255, 0];

fn over(url: String, token: &str) -> Connection {
    built(Keylatch::builder().upstash(url, token).namespace("test"))
}

fn over_ours(stand_in: &Upstash) -> Connection {
    over(stand_in.url(), Upstash::TOKEN)
}

#[tokio::test]
async fn every_type_of_value() {
    let server = RedisServer::start();
    let stand_in = Upstash::start(&server);
    let mut redis = over_ours(&stand_in);
    use_every_type(&mut redis).await;
    use_bytes(&mut redis).await;
}

#[tokio::test]
async fn pipelines_and_transactions() {
    let server = RedisServer::start();
    let stand_in = Upstash::start(&server);
    let mut redis = over_ours(&stand_in);
    use_pipelines(&mut redis).await;
    let paths = |path: &str| stand_in.take_seen().iter().filter(|seen| seen.path == path).count();
    assert_eq!(paths("/pipeline"), 2, "each was one request");
    use_transactions(&mut redis).await;
    assert_eq!(paths("/multi-exec"), 3, "each was one request");
}

#[tokio::test]
async fn scripts() {
    let server = RedisServer::start();
    let stand_in = Upstash::start(&server);
    use_scripts(&mut over_ours(&stand_in), &server).await;
}

#[tokio::test]
async fn bytes_that_cannot_travel_are_refused_before_they_are_sent() {
    let server = RedisServer::start();
    let stand_in = Upstash::start(&server);
    let mut redis = over_ours(&stand_in);
    let pair = redis::pipe().set("key", 1).set("other", BINARY).clone();
    let refused: [RedisResult<()>; 4] = [
        redis.set(BINARY, "value").await,
        redis.hset("hash", BINARY, "value").await,
        pair.query_async(&mut redis).await,
        pair.clone().atomic().query_async(&mut redis).await,
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client, "{error}");
        assert!(error.to_string().contains("binary arguments cannot travel over REST"), "{error}");
    }
    assert_eq!((stand_in.take_seen().len(), server.key_count()), (0, 0));
}

#[tokio::test]
async fn what_needs_a_connection_is_told_that_there_is_none() {
    let server = RedisServer::start();
    let stand_in = Upstash::start(&server);
    let mut redis = over_ours(&stand_in);
    redis.rpush::<_, _, ()>("list", "first").await.unwrap();
    let waiting: RedisResult<Option<(String, String)>> = redis.blpop("list", 1.0).await;
    let told = [waiting.unwrap_err().to_string(), redis.client(None).await.unwrap_err().to_string()];
    for told in told {
        assert!(told.contains("no connections over REST"), "{told}");
    }
    assert_eq!(redis.llen::<_, u64>("list").await.unwrap(), 1);
}

/// It has neither transactions nor a way for bytes that are no text.
#[tokio::test]
async fn on_the_public_stand_in() {
    let server = RedisServer::start();
    let stand_in = PublicStandIn::start(&server);
    let mut redis = over(stand_in.url(), PublicStandIn::TOKEN);
    use_every_type(&mut redis).await;
    use_pipelines(&mut redis).await;
    use_scripts(&mut redis, &server).await;

    let unknown: [RedisResult<()>; 2] = [
        redis::pipe().atomic().set("never", 1).set("neither", 1).query_async(&mut redis).await,
        redis.set("never", BINARY).await,
    ];
    for unknown in unknown {
        let error = unknown.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parse, "{error}");
        assert!(error.to_string().contains("404"), "{error}");
    }
    assert_eq!(redis.exists::<_, u64>(&["never", "neither"]).await.unwrap(), 0, "none of it was done");
}
