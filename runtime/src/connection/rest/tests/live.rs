//! The transport against whichever server the environment names.

use super::*;

fn chosen() -> Rest {
    let read = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    let token = Secret::new(read("KEYLATCH_TEST_UPSTASH_TOKEN"));
    Rest::new(&read("KEYLATCH_TEST_UPSTASH_URL"), &token, CONNECT_TIMEOUT).expect("good settings")
}

#[tokio::test]
#[ignore = "needs KEYLATCH_TEST_UPSTASH_URL and KEYLATCH_TEST_UPSTASH_TOKEN, of an empty database"]
async fn commands_and_pipelines() {
    let rest = chosen();
    let key = "keylatch:live";
    assert_eq!(rest.command(cmd("DEL").arg(key)).await.map(|_| ()), Ok(()));
    assert_eq!(
        rest.command(cmd("SET").arg(key).arg("va\"lué\n").arg("PX").arg(60_000)).await,
        Ok(Value::Okay)
    );
    assert_eq!(rest.command(cmd("GET").arg(key)).await, Ok(bulk("va\"lué\n")));
    assert_eq!(rest.command(cmd("SET").arg(key).arg("x").arg("NX")).await, Ok(Value::Nil));
    let armoured = armour(b"\xff\0binary");
    assert_eq!(rest.command(cmd("SET").arg(key).arg(&*armoured)).await, Ok(Value::Okay));
    let Ok(Value::BulkString(read)) = rest.command(cmd("GET").arg(key)).await else { panic!("a string") };
    assert_eq!(disarm(&read).as_deref(), Some(b"\xff\0binary".as_slice()));

    let error = rest.command(cmd("LPUSH").arg(key).arg("x")).await.expect_err("it is a string");
    assert_eq!(error.code(), Some("WRONGTYPE"), "{error}");
    let error =
        rest.command(cmd("EVALSHA").arg("0".repeat(40)).arg(0)).await.expect_err("there is no such script");
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::NoScript), "{error}");
    let script = "return {1, ARGV[1], {false, redis.call('STRLEN', KEYS[1])}}";
    let answer = rest.command(cmd("EVAL").arg(script).arg(1).arg(key).arg("YmFy")).await;
    let length = i64::try_from(armoured.len()).expect("it is short");
    let inner = Value::Array(vec![Value::Nil, Value::Int(length)]);
    assert_eq!(answer, Ok(Value::Array(vec![Value::Int(1), bulk("YmFy"), inner])));

    let mut pipeline = pipe();
    pipeline
        .cmd("SET")
        .arg(key)
        .arg("1")
        .cmd("LPUSH")
        .arg(key)
        .arg("x")
        .cmd("INCR")
        .arg(key)
        .cmd("GET")
        .arg(key);
    let values = rest.pipeline(&pipeline).await.expect("the request as a whole succeeds");
    assert_eq!((&values[0], code(&values[1])), (&Value::Okay, "WRONGTYPE"));
    assert_eq!(values[2..], [Value::Int(2), bulk("2")]);

    let wrong = Rest::new(rest.address(), &Secret::from("wrong"), CONNECT_TIMEOUT).expect("good settings");
    let error = wrong.command(&cmd("PING")).await.expect_err("the token is wrong");
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
}

#[tokio::test]
#[ignore = "needs KEYLATCH_TEST_UPSTASH_URL and KEYLATCH_TEST_UPSTASH_TOKEN, of an empty database, and transactions there"]
async fn transactions_and_binary_values() {
    let rest = chosen();
    let key = "keylatch:live/binary ?";
    let binary = b"\xff\0\r\n".as_slice();
    assert_eq!(rest.command(cmd("SET").arg(key).arg(binary)).await, Ok(Value::Okay));
    assert_eq!(rest.command(cmd("GET").arg(key)).await, Ok(bulk(binary)));
    let mut pipeline = pipe();
    pipeline.cmd("GET").arg(key).cmd("LPUSH").arg(key).arg("x").cmd("ECHO").arg("OK").cmd("DEL").arg(key);
    for atomic in [false, true] {
        if atomic {
            assert_eq!(rest.command(cmd("SET").arg(key).arg(binary)).await, Ok(Value::Okay));
            pipeline.atomic();
        }
        let values = rest.pipeline(&pipeline).await.expect("the request as a whole succeeds");
        assert_eq!((&values[0], code(&values[1])), (&bulk(binary), "WRONGTYPE"));
        assert_eq!(values[2..], [bulk("OK"), Value::Int(1)]);
    }
    pipeline.cmd("GET");
    let error = rest.pipeline(&pipeline).await.expect_err("an argument is missing");
    assert!(matches!(error.kind(), ErrorKind::Server(_)), "{error}");
}
