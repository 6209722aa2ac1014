//! The transport against scripted answers, and against a server of one's choice.

mod faults;
mod stand_in;

use redis::{Cmd, ErrorKind, Pipeline, ServerErrorKind, Value, cmd, pipe};
use stand_in::{Scripted, StandIn, http, json, octets};

use super::*;

const TOKEN: &str = "T0ken-that-nothing-shows";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

fn rest(url: &str) -> Rest {
    Rest::new(url, &Secret::from(TOKEN), CONNECT_TIMEOUT).expect("the settings are good")
}

/// The answer to one command, when that is what the server says.
async fn one(scripted: Scripted) -> RedisResult<Value> {
    let server = StandIn::start([scripted]).await;
    rest(&server.url).command(cmd("GET").arg("key")).await
}

/// The answers to several commands, when that is what the server says.
async fn several(pipeline: &Pipeline, scripted: Scripted) -> RedisResult<Vec<Value>> {
    let server = StandIn::start([scripted]).await;
    rest(&server.url).pipeline(pipeline).await
}

fn two() -> Pipeline {
    let mut pipeline = pipe();
    pipeline.cmd("GET").arg("a").cmd("GET").arg("b");
    pipeline
}

fn bulk(bytes: impl AsRef<[u8]>) -> Value {
    Value::BulkString(bytes.as_ref().to_vec())
}

fn code(value: &Value) -> &str {
    match value {
        Value::ServerError(error) => error.code(),
        other => panic!("an error, not {other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_what_the_interface_asks_for() {
    let mut server = StandIn::start([octets("+OK\r\n")]).await;
    let answer = rest(&format!(" {}/base/ ", server.url)).command(cmd("SET").arg("k").arg("v")).await;
    assert_eq!(answer, Ok(Value::Okay));
    let request = server.request().await;
    assert!(request.head.starts_with("POST /base/ HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("upstash-response-format"), Some("resp2"));
    // The interface refuses both together.
    assert_eq!(request.header("upstash-encoding"), None);
    assert_eq!(request.header("upstash-sync-token"), None);
    assert_eq!(request.body, br#"["SET","k","v"]"#);
}

#[tokio::test]
async fn a_binary_argument_travels_as_the_body() {
    let mut server = StandIn::start([octets("+OK\r\n")]).await;
    let binary = b"\xff\0".as_slice();
    let answer = rest(&server.url).command(cmd("SET").arg("a/b?").arg(binary)).await;
    assert_eq!(answer, Ok(Value::Okay));
    let request = server.request().await;
    assert!(request.head.starts_with("POST /SET/a%2Fb%3F HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.body, binary);
}

#[tokio::test]
async fn the_sync_token_comes_back_and_is_kept() {
    let ok = || octets("+OK\r\n");
    let script = [http(200, "upstash-sync-token: one\r\n", "+OK\r\n"), ok(), ok()];
    let mut server = StandIn::start(script).await;
    let rest = rest(&server.url);
    let set: Cmd = cmd("SET").arg("k").arg("v").to_owned();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        rest.clone().command(&set).await.expect("the server answers");
        tokens.push(server.request().await.header("upstash-sync-token").map(str::to_owned));
    }
    assert_eq!(tokens, [None, Some("one".to_owned()), Some("one".to_owned())]);
}

#[tokio::test]
async fn one_answer_in_either_form() {
    assert_eq!(one(octets(b"$3\r\n\xff\r\n\r\n")).await, Ok(bulk(b"\xff\r\n")));
    assert_eq!(
        one(octets("*2\r\n:1\r\n*1\r\n$-1\r\n")).await.map(|value| format!("{value:?}")),
        Ok("array([int(1), array([nil])])".to_owned())
    );
    // Text that looks like base64 stays what it is: base64 was not asked for.
    assert_eq!(one(json(r#"{"result":"YmFy"}"#)).await, Ok(bulk("YmFy")));
    assert_eq!(one(json(r#" {"result":null} "#)).await, Ok(Value::Nil));
    assert_eq!(
        one(json(r#"{"result":[1,"a",[null]],"error":null}"#)).await,
        Ok(Value::Array(vec![Value::Int(1), bulk("a"), Value::Array(vec![Value::Nil])]))
    );
    // What a server says about its answer does not matter.
    assert_eq!(
        one(http(200, "Content-Type: text/plain\r\n", r#"{"result":1.5}"#)).await,
        Ok(Value::Double(1.5))
    );
    assert_eq!(one(http(200, "", ":5\r\n")).await, Ok(Value::Int(5)));
}

#[tokio::test]
async fn errors_are_those_that_the_client_has_over_tcp() {
    let answers = [
        http(400, "", "-NOSCRIPT No matching script.\r\n"),
        octets("-NOSCRIPT No matching script.\r\n"),
        http(400, "", r#"{"error":"NOSCRIPT No matching script."}"#),
        http(500, "", r#"{"error":"Failed to execute Redis command: NOSCRIPT No matching script."}"#),
    ];
    for answer in answers {
        let error = one(answer).await.expect_err("the server refused");
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::NoScript), "{error}");
        assert_eq!((error.code(), error.detail()), (Some("NOSCRIPT"), Some("No matching script.")));
    }
    let error = one(json(r#"{"error":"WRONGTYPE Operation"}"#)).await.expect_err("the server refused");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Extension, Some("WRONGTYPE")));
}

#[tokio::test]
async fn several_answers_in_any_form() {
    let expected = Ok(vec![bulk("x"), Value::Array(vec![Value::Int(1)])]);
    assert_eq!(several(&two(), octets("$1\r\nx\r\n*1\r\n:1\r\n")).await, expected);
    assert_eq!(several(&two(), octets("*2\r\n$1\r\nx\r\n*1\r\n:1\r\n")).await, expected);
    assert_eq!(several(&two(), json(r#"[{"result":"x"},{"result":[1]}]"#)).await, expected);
    // The first answer looks like an array around both.
    let nested = octets("*2\r\n:1\r\n:2\r\n:3\r\n");
    assert_eq!(
        several(&two(), nested).await,
        Ok(vec![Value::Array(vec![Value::Int(1), Value::Int(2)]), Value::Int(3)])
    );
}

#[tokio::test]
async fn errors_of_several_stay_in_their_places() {
    for answer in [
        octets("-ERR syntax error\r\n:2\r\n"),
        octets("*2\r\n-ERR syntax error\r\n:2\r\n"),
        json(r#"[{"error":"ERR syntax error"},{"result":2}]"#),
    ] {
        let values = several(&two(), answer).await.expect("the request as a whole succeeds");
        assert_eq!((code(&values[0]), &values[1]), ("ERR", &Value::Int(2)));
    }
    for answer in [http(400, "", r#"{"error":"ERR bad request"}"#), http(400, "", "-ERR bad request\r\n")] {
        let error = several(&two(), answer).await.expect_err("the whole request is refused");
        assert_eq!((error.code(), error.detail()), (Some("ERR"), Some("bad request")));
    }
    for wrong in [
        octets(":1\r\n"),
        octets(":1\r\n:2\r\n:3\r\n"),
        json("[]"),
        json(r#"{"result":1}"#),
        octets("*1\r\n:1\r\n"),
    ] {
        let error = several(&two(), wrong).await.expect_err("an answer is missing");
        assert_eq!(error.kind(), ErrorKind::Parse, "{error}");
    }
}

#[tokio::test]
async fn a_lone_command_of_a_pipeline_is_sent_as_such() {
    let mut alone = pipe();
    alone.cmd("LRANGE").arg("list").arg(0).arg(-1);
    // As the answer to a pipeline it could mean the one integer, too.
    assert_eq!(several(&alone, octets("*1\r\n:1\r\n")).await, Ok(vec![Value::Array(vec![Value::Int(1)])]));
    let values = several(&alone, octets("-WRONGTYPE x\r\n")).await.expect("the request as a whole succeeds");
    assert_eq!(code(&values[0]), "WRONGTYPE");
    let error = several(&alone, http(502, "", "<html>")).await.expect_err("there was no answer");
    assert!(error.is_io_error(), "{error}");
    assert_eq!(rest("http://127.0.0.1:1").pipeline(&pipe()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_transaction_learns_how_its_answers_are_encoded() {
    let mut transaction = two();
    transaction.atomic();
    let mut server =
        StandIn::start([json(r#"[{"result":"a2V5bGF0Y2g="},{"result":"/w=="},{"result":"OK"}]"#)]).await;
    let values = rest(&server.url).pipeline(&transaction).await;
    assert_eq!(values, Ok(vec![bulk(b"\xff"), Value::Okay]));
    let request = server.request().await;
    assert!(request.head.starts_with("POST /multi-exec "), "{}", request.head);
    assert_eq!(request.header("upstash-encoding"), Some("base64"));
    assert_eq!(request.header("upstash-response-format"), None);

    // This server does not know base64, and its text only looks like it.
    let plain = json(r#"[{"result":"keylatch"},{"result":"YmFy"},{"error":"WRONGTYPE x"}]"#);
    let values = several(&transaction, plain).await.expect("it was executed");
    assert_eq!((&values[0], code(&values[1])), (&bulk("YmFy"), "WRONGTYPE"));

    let discarded = http(400, "", r#"{"error":"EXECABORT Transaction discarded"}"#);
    let error = several(&transaction, discarded).await.expect_err("it was discarded");
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ExecAbort));

    for unclear in [
        json(r#"[{"result":"other"},{"result":1},{"result":2}]"#),
        json(r#"[{"result":1},{"result":1},{"result":2}]"#),
        json(r#"[{"result":"a2V5bGF0Y2g="},{"result":"not base64"},{"result":2}]"#),
        json(r#"[{"result":1},{"result":2}]"#),
    ] {
        let error = several(&transaction, unclear).await.expect_err("it cannot be read");
        assert_eq!(error.kind(), ErrorKind::Parse, "{error}");
    }
}
