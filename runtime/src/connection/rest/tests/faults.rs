//! What can go wrong on the way, and what of it shows.

use super::stand_in::Seen;
use super::*;

#[tokio::test]
async fn a_refused_token() {
    for answer in [
        http(401, "", r#"{"error":"Unauthorized"}"#),
        http(401, "Content-Type: text/plain\r\n", format!("no such token: {TOKEN}")),
        http(400, "", format!(r#"{{"error":"WRONGPASS invalid token {TOKEN}"}}"#)),
        http(400, "", "-WRONGPASS invalid password\r\n"),
    ] {
        let error = one(answer).await.expect_err("the token is refused");
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
        assert!(!error.to_string().contains(TOKEN), "{error}");
    }
}

#[tokio::test]
async fn no_error_shows_the_token() {
    let echoed = json(&format!(r#"{{"error":"ERR unknown command '{TOKEN}'"}}"#));
    let error = one(echoed).await.expect_err("the server refused");
    assert!(error.to_string().contains("[hidden]") && !error.to_string().contains(TOKEN), "{error}");
    let rest = rest("http://localhost:1/x");
    assert_eq!(format!("{rest:?}"), "Rest(http://localhost:1/x)");
    let error = rest.command(&cmd("PING")).await.expect_err("nobody listens there");
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error}");
}

#[tokio::test]
async fn bad_settings() {
    let no_token = Rest::new("https://x.upstash.io", &Secret::from(" "), CONNECT_TIMEOUT);
    assert_eq!(no_token.expect_err("there is no token").kind(), crate::ErrorKind::Configuration);
    let split = Rest::new("https://x.upstash.io", &Secret::from("s3cret\r\nHost: y"), CONNECT_TIMEOUT);
    assert!(!split.expect_err("that is no token").to_string().contains("s3cret"));
    for url in [
        "",
        "x.upstash.io",
        "redis://x",
        "https://",
        "https://user:s3cret@x",
        "https://x?_token=s3cret",
        "https://x#s3cret",
    ] {
        let error = Rest::new(url, &Secret::from(TOKEN), CONNECT_TIMEOUT).expect_err(url);
        assert_eq!(error.kind(), crate::ErrorKind::Configuration);
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_the_interface() {
    let html = "<html>the value is secret</html>";
    for (status, body) in [
        (200, html),
        (404, html),
        (301, ""),
        (405, "no"),
        (404, r#"{"result":1}"#),
        (200, "{\"a\" 1}"),
        (200, r#"{"x":1}"#),
        (200, "[1]"),
    ] {
        let error =
            one(http(status, "Content-Type: text/html\r\n", body)).await.expect_err("it is no answer");
        assert_eq!(error.kind(), ErrorKind::Parse, "{status} {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = StandIn::start([octets("+OK\r\n")]).await;
    let redirect = http(307, &format!("Location: {}/\r\n", elsewhere.url), "");
    assert_eq!(one(redirect).await.map_err(|error| error.kind()), Err(ErrorKind::Parse));
}

#[tokio::test]
async fn what_may_pass_is_an_io_error() {
    for (status, body) in
        [(500, "<html>"), (502, ""), (503, r#"{"error":"try later"}"#), (429, "slow down"), (529, "+OK\r\n")]
    {
        let error = one(http(status, "", body)).await.expect_err("it is no answer");
        assert!(error.is_io_error() && !error.is_timeout() && !error.is_connection_dropped(), "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
    let error = one(http(504, "", "")).await.expect_err("it is no answer");
    assert!(error.is_io_error() && error.is_timeout(), "{error}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    drop(listener);
    let error = rest(&format!("http://{address}")).command(&cmd("PING")).await.expect_err("nobody listens");
    assert!(error.is_io_error() && error.is_connection_refusal() && error.is_connection_dropped(), "{error}");
}

#[tokio::test]
async fn the_connection_breaks() {
    for bytes in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"result\":",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n+OK\r\n\r\n",
        // Without a length only the end of the connection says where the answer ends.
        "HTTP/1.1 200 OK\r\n\r\n{\"result\":[1,",
        "HTTP/1.1 200 OK\r\n\r\n$5\r\nab",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let error = one(Scripted::Closing(bytes.into())).await.expect_err("the answer is cut");
        assert!(error.is_io_error() && error.is_connection_dropped(), "{bytes:?}: {error}");
        assert!(!error.is_timeout(), "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn no_http_at_all() {
    let error =
        one(Scripted::Closing("-ERR unknown command 'POST'\r\n".into())).await.expect_err("it is no HTTP");
    assert!(error.is_io_error(), "{error}");
}

#[tokio::test]
async fn no_tls_where_tls_is_expected() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let rest = rest(&format!("https://{}", listener.local_addr().expect("a bound port")));
    let plain = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .expect("it is open");
        stream
    };
    let ping = cmd("PING");
    let (answer, _stream) = tokio::join!(rest.command(&ping), plain);
    let error = answer.expect_err("the server does not speak TLS");
    assert!(error.is_io_error() && !error.is_timeout(), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_connect_time_out() {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("a bound port");
    // Nobody accepts. Once the queue is full the kernel lets further connections wait.
    let mut queue = Vec::new();
    let connect =
        || crate::clock::within(Duration::from_millis(100), tokio::net::TcpStream::connect(address));
    while let Some(queued) = connect().await {
        queue.push(queued.expect("there is a listener"));
    }
    let limit = Duration::from_millis(50);
    let rest = Rest::new(&format!("http://{address}"), &Secret::from(TOKEN), limit).expect("good settings");
    let error = rest.command(&cmd("PING")).await.expect_err("nobody accepts");
    assert!(error.is_io_error() && error.is_timeout(), "{error}");
}

#[tokio::test]
async fn answers_are_bounded() {
    let bounded = |url: &str| {
        let mut rest = rest(url);
        Arc::get_mut(&mut rest.0).expect("it is not shared yet").largest_answer = 10;
        rest
    };
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n$9\r\n12\r\n9\r\n3456789\r\n\r\n0\r\n\r\n";
    for scripted in [
        octets("$5\r\n12345\r\n"),
        Scripted::Bytes(chunked.into()),
        Scripted::Closing("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n".into()),
    ] {
        let server = StandIn::start([scripted]).await;
        let error = bounded(&server.url).command(&cmd("PING")).await.expect_err("the answer is too large");
        assert_eq!(error.kind(), ErrorKind::Client, "{error}");
        assert!(error.to_string().contains("too large"), "{error}");
    }
    let server = StandIn::start([octets("$4\r\n1234\r\n")]).await;
    assert_eq!(bounded(&server.url).command(&cmd("PING")).await, Ok(bulk("1234")));
}

#[tokio::test]
async fn a_dropped_call_lets_go_of_its_connection() {
    let mut server = StandIn::start([Scripted::Silence, octets("+PONG\r\n")]).await;
    let rest = rest(&server.url);
    let ping = cmd("PING");
    tokio::select! {
        answer = rest.command(&ping) => panic!("no answer was sent: {answer:?}"),
        request = server.request() => assert_eq!(request.body, br#"["PING"]"#),
    }
    assert!(matches!(server.seen().await, Seen::Abandoned));
    assert_eq!(rest.command(&ping).await, Ok(Value::SimpleString("PONG".to_owned())));
}

#[tokio::test]
async fn connections_are_used_again_and_replaced() {
    let closing = Scripted::Closing(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n:1\r\n".to_vec());
    let server = StandIn::start([octets(":0\r\n"), closing, octets(":2\r\n")]).await;
    let rest = rest(&server.url);
    for expected in 0..3 {
        // The server closes the connection without saying so; the next command must not suffer from it.
        assert_eq!(rest.command(&cmd("PING")).await, Ok(Value::Int(expected)));
    }
}
