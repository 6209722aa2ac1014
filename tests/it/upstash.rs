//! The stand-ins of the REST interface of Upstash are what they claim to be: the official client accepts them. What our
//! client sends them is in `connection::commands::rest`, and what goes wrong in `faults::rest`.

mod https;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::npm::{PublicStandIn, official_client};
use crate::support::upstash::Fault;
use crate::support::{RedisServer, Upstash, until};

#[test]
fn the_official_client_accepts_the_stand_in() {
    let redis = RedisServer::start();
    let upstash = Upstash::start(&redis);
    official_client(&upstash.url(), Upstash::TOKEN, &[]);
}

#[test]
fn the_official_client_accepts_the_public_stand_in() {
    let redis = RedisServer::start();
    let upstash = PublicStandIn::start(&redis);
    official_client(&upstash.url(), PublicStandIn::TOKEN, &["--basic"]);
}

/// Sends a command. What comes back until the connection ends.
async fn send(upstash: &Upstash, command: &str) -> String {
    let url = upstash.url();
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("it listens");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: stand-in\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        Upstash::TOKEN,
        command.len()
    );
    stream.write_all(format!("{head}{command}").as_bytes()).await.expect("it listens");
    let mut answer = Vec::new();
    // A broken connection is an end like another.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("it is text")
}

const SET: &str = r#"["SET","key","value"]"#;

#[tokio::test]
async fn faults_that_answer() {
    let redis = RedisServer::start();
    let upstash = Upstash::start(&redis);
    upstash.fail_next([Fault::Status(429), Fault::Html(502)]);
    assert!(send(&upstash, SET).await.starts_with("HTTP/1.1 429 "));
    let page = send(&upstash, SET).await;
    assert!(page.starts_with("HTTP/1.1 502 ") && page.contains("<!doctype html>"), "{page}");
    assert_eq!(redis.key_count(), 0);

    upstash.fail_next([Fault::Cut]);
    let cut = send(&upstash, SET).await;
    assert!(cut.contains("content-length: 15\r\n") && cut.ends_with("\r\n\r\n{\"resul"), "{cut}");
    assert_eq!(redis.key_count(), 1);

    upstash.fail_always(Some(Fault::Status(500)));
    for _ in 0..2 {
        assert!(send(&upstash, SET).await.starts_with("HTTP/1.1 500 "));
    }
    upstash.fail_always(None);
    let answer = send(&upstash, SET).await;
    assert!(
        answer.contains("upstash-sync-token: stand-in:6\r\n") && answer.ends_with("{\"result\":\"OK\"}"),
        "{answer}"
    );
    let seen = upstash.take_seen();
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|seen| seen.path == "/" && seen.body == SET && seen.sync_token.is_none()));
    assert_eq!(upstash.take_seen().len(), 0);
}

#[tokio::test]
async fn faults_that_keep_one_waiting() {
    let redis = RedisServer::start();
    let upstash = Upstash::start(&redis);
    let wait = Duration::from_millis(50);

    upstash.fail_next([Fault::Hang]);
    let mut hanging = std::pin::pin!(send(&upstash, SET));
    assert!(timeout(wait, &mut hanging).await.is_err());
    assert_eq!((upstash.take_seen().len(), redis.key_count()), (1, 0));

    upstash.fail_next([Fault::Delay(2 * wait)]);
    let started = std::time::Instant::now();
    assert!(send(&upstash, SET).await.ends_with("{\"result\":\"OK\"}"));
    assert!(started.elapsed() >= 2 * wait);

    upstash.fail_next([Fault::Swallow]);
    let mut swallowed = std::pin::pin!(send(&upstash, r#"["DEL","key"]"#));
    assert!(timeout(wait, &mut swallowed).await.is_err());
    until("the command runs all the same", || redis.key_count() == 0).await;
}
