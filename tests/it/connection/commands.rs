//! What users send: every type of value, pipelines, transactions, scripts; and what is refused.

mod rest;

use std::collections::HashMap;
use std::time::Duration;

use keylatch::{Connection, ErrorKind, Keylatch};
use redis::streams::StreamReadReply;
use redis::{AsyncCommands, Pipeline, RedisResult, Value};

use super::{built, connection};
use crate::support::RedisServer;

/// Entries by the names of their streams, each with its fields and values.
type Streams = HashMap<String, Vec<(String, Vec<String>)>>;

#[tokio::test]
async fn every_type_of_value() {
    let server = RedisServer::start();
    let mut redis = connection(&server);
    use_every_type(&mut redis).await;
    use_bytes(&mut redis).await;

    // Of what is read from streams the server says here that it is a map.
    let read = redis::cmd("XREAD").arg(&["COUNT", "10", "STREAMS", "stream", "0"]).clone();
    let read: Streams = read.query_async(&mut redis).await.unwrap();
    assert_eq!(read["stream"], [("1-1".to_owned(), vec!["field".to_owned(), "value".to_owned()])]);
}

/// Text and numbers in every type of value, by the client's typed commands.
async fn use_every_type(redis: &mut Connection) {
    redis.set::<_, _, ()>("string", "value").await.unwrap();
    assert_eq!(redis.append::<_, _, u64>("string", "s").await.unwrap(), 6);
    assert_eq!(redis.get::<_, String>("string").await.unwrap(), "values");
    assert_eq!(redis.get::<_, Option<String>>("missing").await.unwrap(), None);
    let text = "\"quoted\"\r\n\0 \u{1f5dd}";
    redis.set::<_, _, ()>("text", text).await.unwrap();
    assert_eq!(redis.get::<_, String>("text").await.unwrap(), text);

    redis.hset_multiple::<_, _, _, ()>("hash", &[("a", 1), ("b", 2)]).await.unwrap();
    assert_eq!(redis.hincr::<_, _, _, u64>("hash", "b", 3).await.unwrap(), 5);
    let hash: HashMap<String, u64> = redis.hgetall("hash").await.unwrap();
    assert_eq!(hash, HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 5)]));

    assert_eq!(redis.rpush::<_, _, u64>("list", &[1, 2, 3]).await.unwrap(), 3);
    assert_eq!(redis.lpop::<_, Option<u64>>("list", None).await.unwrap(), Some(1));
    assert_eq!(redis.lrange::<_, Vec<u64>>("list", 0, -1).await.unwrap(), [2, 3]);

    assert_eq!(redis.sadd::<_, _, u64>("set", &["x", "y", "x"]).await.unwrap(), 2);
    let mut members: Vec<String> = redis.smembers("set").await.unwrap();
    members.sort_unstable();
    assert_eq!(members, ["x", "y"]);

    redis.zadd_multiple::<_, _, _, ()>("sorted", &[(1.5, "low"), (2.5, "high")]).await.unwrap();
    let sorted: Vec<(String, f64)> = redis.zrange_withscores("sorted", 0, -1).await.unwrap();
    assert_eq!(sorted, [("low".to_owned(), 1.5), ("high".to_owned(), 2.5)]);

    let id: String = redis.xadd("stream", "1-1", &[("field", "value")]).await.unwrap();
    assert_eq!(id, "1-1");
    let read: StreamReadReply = redis.xread(&["stream"], &["0"]).await.unwrap();
    let [stream] = &read.keys[..] else { panic!("{read:?}") };
    let [entry] = &stream.ids[..] else { panic!("{read:?}") };
    assert_eq!((&*stream.key, &*entry.id), ("stream", "1-1"));
    assert_eq!(entry.get::<String>("field").as_deref(), Some("value"));

    let wrong: RedisResult<u64> = redis.incr("list", 1).await;
    assert_eq!(wrong.unwrap_err().code(), Some("WRONGTYPE"));
}

/// What is no text, there and back: alone, beside others, and by a script.
async fn use_bytes(redis: &mut Connection) {
    let bytes = vec![0_u8, b'\r', b'\n', 255];
    redis.set::<_, _, ()>("bytes", &bytes).await.unwrap();
    assert_eq!(redis.get::<_, Vec<u8>>("bytes").await.unwrap(), bytes);
    for atomic in [false, true] {
        let mut pipeline = redis::pipe();
        pipeline.get("bytes").strlen("bytes");
        let pipeline = if atomic { pipeline.atomic() } else { &mut pipeline };
        let answers: (Vec<u8>, usize) = pipeline.query_async(redis).await.unwrap();
        assert_eq!(answers, (bytes.clone(), bytes.len()));
    }
    let script = "redis.call('APPEND', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])";
    let script = redis::Script::new(script);
    let twice: Vec<u8> = script.key("bytes").arg(&bytes).invoke_async(redis).await.unwrap();
    assert_eq!(twice, bytes.repeat(2));
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Basket {
    owner: String,
    items: Vec<u64>,
}

/// As text that others can read and write.
#[tokio::test]
async fn json() {
    let server = RedisServer::start();
    let mut redis = connection(&server);
    let basket = Basket { owner: "hunter2".to_owned(), items: vec![1, 2] };
    assert_eq!(redis.get_json::<Basket>("basket").await.unwrap(), None);
    redis.set_json("basket", &basket, Some(Duration::from_secs(60))).await.unwrap();
    assert_eq!(redis.get::<_, String>("basket").await.unwrap(), r#"{"owner":"hunter2","items":[1,2]}"#);
    assert!((1..=60_000).contains(&redis.pttl::<_, i64>("basket").await.unwrap()));
    assert_eq!(redis.get_json("basket").await.unwrap(), Some(basket));
    redis.set_json("basket", "text", None).await.unwrap();
    assert_eq!(redis.pttl::<_, i64>("basket").await.unwrap(), -1, "without a life it stays");
    redis.set::<_, _, ()>("basket", "{\n \"owner\": \"a\", \"items\": []}\n").await.unwrap();
    assert_eq!(redis.get_json::<Basket>("basket").await.unwrap().unwrap().items, [0_u64; 0]);

    redis.set::<_, _, ()>("basket", r#"{"owner": "hunter2", "items": "hunter2"}"#).await.unwrap();
    let error = redis.get_json::<Basket>("basket").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    let text = format!("{error} {error:?}");
    assert!(text.contains("line 1, column") && !text.contains("hunter2"), "{text}");
    let error = redis.set_json("basket", &HashMap::from([((1, 2), 3)]), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    redis.rpush::<_, _, ()>("list", 1).await.unwrap();
    let error = redis.get_json::<Basket>("list").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("WRONGTYPE"), "{error}");
}

#[tokio::test]
async fn pipelines_and_transactions() {
    let server = RedisServer::start();
    let mut redis = connection(&server);
    use_pipelines(&mut redis).await;
    use_transactions(&mut redis).await;
}

async fn use_pipelines(redis: &mut Connection) {
    send_four(&mut redis::pipe(), redis).await;
    // An error of one keeps none of the others from running.
    let failing = redis::pipe().set("text", "x").ignore().incr("text", 1).set("behind", 1).clone();
    let failed: RedisResult<Value> = failing.query_async(redis).await;
    assert!(failed.is_err());
    assert_eq!(redis.get::<_, Option<u64>>("behind").await.unwrap(), Some(1));
}

async fn use_transactions(redis: &mut Connection) {
    send_four(redis::pipe().atomic(), redis).await;
    // An error of one that the server has queued keeps none of the others from running.
    let failing = redis::pipe().atomic().set("word", "x").ignore().incr("word", 1).set("after", 1).clone();
    let failed: RedisResult<Value> = failing.query_async(redis).await;
    assert!(failed.is_err());
    assert_eq!(redis.get::<_, Option<u64>>("after").await.unwrap(), Some(1));
    // What the server does not even queue keeps all of a transaction from running.
    let refused = redis::pipe().atomic().set("never", 1).cmd("NONSENSE").clone();
    let refused: RedisResult<Value> = refused.query_async(redis).await;
    assert!(refused.is_err());
    assert!(!redis.exists::<_, bool>("never").await.unwrap());
}

async fn send_four(pipeline: &mut Pipeline, redis: &mut Connection) {
    pipeline.set("n", 1).ignore().incr("n", 2).get("n").del("missing");
    let answers: (u64, u64, u64) = pipeline.query_async(redis).await.unwrap();
    assert_eq!(answers, (3, 3, 0));
}

#[tokio::test]
async fn scripts() {
    let server = RedisServer::start();
    use_scripts(&mut connection(&server), &server).await;
}

async fn use_scripts(redis: &mut Connection, server: &RedisServer) {
    let script = redis::Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for expected in [5, 10] {
        let answer: u64 = script.key("scripted").arg(5).invoke_async(redis).await.unwrap();
        assert_eq!(answer, expected);
    }
    server.query(&["SCRIPT", "FLUSH"]).unwrap();
    let answer: u64 = script.key("scripted").arg(5).invoke_async(redis).await.unwrap();
    assert_eq!(answer, 15);
}

/// They would change, or depend on, what others send over the same connection.
#[tokio::test]
async fn what_is_refused_names_the_way_out() {
    let server = RedisServer::start();
    let mut redis = connection(&server);
    redis.set::<_, _, ()>("key", 1).await.unwrap();
    let refused = [
        &["SELECT", "1"][..],
        &["subscribe", "channel"],
        &["PSUBSCRIBE", "*"],
        &["MONITOR"],
        &["WATCH", "key"],
        &["WAIT", "0", "0"],
        &["MULTI"],
        &["AUTH", "password"],
        &["HELLO", "2"],
        &["RESET"],
        &["CLIENT", "REPLY", "OFF"],
    ];
    for words in refused {
        let cmd = redis::cmd(words[0]).arg(&words[1..]).clone();
        let error = cmd.query_async::<Value>(&mut redis).await.unwrap_err().to_string();
        assert!(error.contains("Connection::client()"), "{words:?}: {error}");
        let error = redis::pipe().add_command(cmd).set("key", 2).query_async::<Value>(&mut redis).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("Connection::client()"), "in a pipeline, {words:?}: {error}");
    }
    assert_eq!(redis.get::<_, u64>("key").await.unwrap(), 1);
    assert_eq!(server.calls("select") + server.calls("wait"), 0, "nothing was sent");
}

#[tokio::test]
async fn a_plain_client() {
    let server = RedisServer::start();
    let redis = connection(&server);
    for key in [None, Some(&b"key"[..])] {
        let client = redis.client(key).await.unwrap();
        let mut plain = client.get_multiplexed_async_connection().await.unwrap();
        // Refused on the managed one.
        redis::cmd("SELECT").arg(1).exec_async(&mut plain).await.unwrap();
        plain.set::<_, _, ()>("key", 1).await.unwrap();
    }
    assert_eq!(server.key_count(), 0, "it went to another database");
    assert_eq!(redis.clone().get::<_, Option<u64>>("key").await.unwrap(), None);
}

/// Such a user may not even ask who the server is.
#[tokio::test]
async fn a_user_with_few_rights() {
    let server = RedisServer::start();
    server.query(&["ACL", "SETUSER", "alice", "on", ">secret", "~own:*", "+get", "+set"]).unwrap();
    let at = |login: &str| {
        let url = format!("redis://{login}@127.0.0.1:{}", server.port());
        built(Keylatch::builder().redis_url(url).namespace("test"))
    };
    let mut redis = at("alice:secret");
    redis.set::<_, _, ()>("own:key", 1).await.unwrap();
    assert_eq!(redis.get::<_, u64>("own:key").await.unwrap(), 1);
    let strange: RedisResult<()> = redis.set("key", 1).await;
    assert_eq!(strange.unwrap_err().code(), Some("NOPERM"));
    let unknown: RedisResult<()> = redis.incr("own:key", 1).await;
    assert_eq!(unknown.unwrap_err().code(), Some("NOPERM"));
    let error = at("alice:wrong").get::<_, Option<u64>>("own:key").await.unwrap_err();
    assert!(!error.to_string().contains("wrong"), "no password is told: {error}");
}

#[tokio::test]
async fn a_database_by_number() {
    let server = RedisServer::start();
    let url = format!("redis://127.0.0.1:{}/3", server.port());
    let mut redis = built(Keylatch::builder().redis_url(url.as_str()).namespace("test"));
    redis.set::<_, _, ()>("key", "value").await.unwrap();
    assert_eq!(redis::aio::ConnectionLike::get_db(&redis), 3);
    assert_eq!(server.key_count(), 0, "not in the first database");
    // Commands that get a connection of their own are of the same one.
    redis.rpush::<_, _, ()>("list", "first").await.unwrap();
    let popped: Option<(String, String)> = redis.blpop("list", 1.0).await.unwrap();
    assert_eq!(popped, Some(("list".to_owned(), "first".to_owned())));
    let mut plain = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    assert_eq!(plain.get::<_, String>("key").await.unwrap(), "value");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket() {
    let directory = tempfile::TempDir::with_prefix("keylatch-socket").unwrap();
    let path = directory.path().join("redis.sock");
    let path = path.to_str().unwrap();
    let server = RedisServer::start_with(&["--unixsocket", path]);
    let mut redis = built(Keylatch::builder().redis_url(format!("unix://{path}")).namespace("test"));
    redis.set::<_, _, ()>("key", "value").await.unwrap();
    redis.rpush::<_, _, ()>("list", "first").await.unwrap();
    let popped: Option<(String, String)> = redis.blpop("list", 1.0).await.unwrap();
    assert_eq!(popped, Some(("list".to_owned(), "first".to_owned())));
    assert_eq!(server.key_count(), 1, "it was this server");
}
