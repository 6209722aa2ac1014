//! A server that answers every request with the next scripted answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// One answer.
#[derive(Debug, Clone)]
pub(super) enum Scripted {
    /// These bytes; the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes, and the connection is closed.
    Closing(Vec<u8>),
    /// Nothing at all.
    Silence,
}

/// What the server saw.
#[derive(Debug)]
pub(super) enum Seen {
    Request(Received),
    /// The other side closed a connection on which an answer was due.
    Abandoned,
}

#[derive(Debug)]
pub(super) struct Received {
    /// The request line and the headers.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) url: String,
    seen: mpsc::UnboundedReceiver<Seen>,
}

type Script = Arc<Mutex<VecDeque<Scripted>>>;

impl StandIn {
    pub(super) async fn start(script: impl IntoIterator<Item = Scripted>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let script: Script = Arc::new(Mutex::new(script.into_iter().collect()));
        let (sender, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), sender.clone()));
            }
        });
        Self { url, seen }
    }

    /// The next thing the server saw.
    pub(super) async fn seen(&mut self) -> Seen {
        let seen = crate::clock::within(std::time::Duration::from_secs(10), self.seen.recv());
        seen.await.expect("the server sees something in time").expect("the server runs")
    }

    pub(super) async fn request(&mut self) -> Received {
        match self.seen().await {
            Seen::Request(request) => request,
            Seen::Abandoned => panic!("a request, not its end"),
        }
    }
}

async fn serve(mut stream: TcpStream, script: Script, seen: mpsc::UnboundedSender<Seen>) {
    while let Some(request) = receive(&mut stream).await {
        let _ = seen.send(Seen::Request(request));
        let next = script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match next.expect("an answer to every request") {
            Scripted::Bytes(bytes) => stream.write_all(&bytes).await.expect("the other side reads"),
            Scripted::Closing(bytes) => {
                stream.write_all(&bytes).await.expect("the other side reads");
                return;
            }
            Scripted::Silence => {
                if matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)) {
                    let _ = seen.send(Seen::Abandoned);
                }
                return;
            }
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut received = Received { head: String::from_utf8(head).ok()?, body: Vec::new() };
    let length = received.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    received.body.resize(length, 0);
    stream.read_exact(&mut received.body).await.ok()?;
    Some(received)
}

/// An answer with a length.
pub(super) fn http(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Scripted {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} -\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    Scripted::Bytes([head.as_bytes(), body].concat())
}

pub(super) fn json(body: &str) -> Scripted {
    http(200, "Content-Type: application/json\r\n", body)
}

pub(super) fn octets(body: impl AsRef<[u8]>) -> Scripted {
    http(200, "Content-Type: application/octet-stream\r\n", body)
}
