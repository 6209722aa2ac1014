//! A stand-in of the REST interface of Upstash, in front of a `redis-server`, which can be told to fail.
//!
//! The official client accepts it: see `upstash.rs`.

mod encoding;
mod interface;
mod tls;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::RedisServer;
use super::tls::Certificates;
use interface::{Request, answer, response};
use tls::TlsListener;

/// What happens to a request instead of, or after, its execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is executed; this status, with an empty body.
    Status(u16),
    /// Nothing is executed; this status, with a page as proxies write them.
    Html(u16),
    /// Nothing is executed; this answer, as it is. `@token@` in it stands for the token: some servers quote it.
    Says { status: u16, content_type: &'static str, body: &'static str },
    /// It is executed this much later.
    Delay(Duration),
    /// Nothing is executed, and no answer comes.
    Hang,
    /// It is executed, but no answer comes.
    Swallow,
    /// It is executed, but the connection breaks in the middle of the answer.
    Cut,
}

/// The stand-in. It runs on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Upstash {
    scheme: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    redis: redis::Client,
    state: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    /// The faults of the next requests.
    next: VecDeque<Fault>,
    /// The fault of all others.
    always: Option<Fault>,
    /// Those that nobody has asked about yet.
    requests: Vec<Seen>,
    count: usize,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) sync_token: Option<String>,
}

impl Upstash {
    /// The token that it accepts.
    pub(crate) const TOKEN: &str = "token-of-the-stand-in";

    pub(crate) fn start(redis: &RedisServer) -> Self {
        Self::listen(redis, None)
    }

    /// The same by HTTPS, with the certificate of the server.
    pub(crate) fn start_with_tls(redis: &RedisServer, certificates: &Certificates) -> Self {
        Self::listen(redis, Some(tls::acceptor(certificates)))
    }

    fn listen(redis: &RedisServer, acceptor: Option<TlsAcceptor>) -> Self {
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let redis = redis::Client::open(redis.url()).expect("the URL is good");
        let shared = Arc::new(Shared { redis, state: Mutex::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a bound port");
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                let router: Router =
                    Router::new().fallback(serve).layer(DefaultBodyLimit::disable()).with_state(served);
                let serving = async {
                    match acceptor {
                        Some(acceptor) => axum::serve(TlsListener::new(listener, acceptor), router).await,
                        None => axum::serve(listener, router).await,
                    }
                };
                tokio::select! {
                    served = serving => served.expect("it serves until it is stopped"),
                    _ = stopped => {}
                }
            });
        });
        Self { scheme, address, shared, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets the next requests fail, one each.
    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().next.extend(faults);
    }

    /// Lets all further requests fail, or none.
    pub(crate) fn fail_always(&self, fault: Option<Fault>) {
        self.shared.state().always = fault;
    }

    /// The requests since the last time it was asked.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.state().requests)
    }
}

impl Drop for Upstash {
    fn drop(&mut self) {
        // The thread ends with the sender, and with it all connections.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the stand-in panicked");
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Recorded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the request. Its number, and the fault that it has.
    fn seen(&self, request: &Request) -> (usize, Option<Fault>) {
        let mut state = self.state();
        let sync_token = request.headers.get("upstash-sync-token").and_then(|value| value.to_str().ok());
        state.requests.push(Seen {
            path: request.uri.path().to_owned(),
            body: request.body.clone(),
            sync_token: sync_token.map(str::to_owned),
        });
        let fault = state.next.pop_front().or(state.always);
        state.count += 1;
        (state.count, fault)
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request { method, uri, headers, body };
    let (number, fault) = shared.seen(&request);
    match fault {
        Some(Fault::Status(status)) => return failed(status, ""),
        Some(Fault::Html(status)) => return failed(status, "<!doctype html><title>error</title>"),
        Some(Fault::Says { status, content_type, body }) => return said(status, content_type, body),
        Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Swallow | Fault::Cut) | None => {}
    }
    let mut response = answer(&request, Upstash::TOKEN, &shared.redis).await;
    let sync_token = HeaderValue::from_str(&format!("stand-in:{number}")).expect("it is ASCII");
    response.headers_mut().insert("upstash-sync-token", sync_token);
    match fault {
        Some(Fault::Swallow) => std::future::pending().await,
        Some(Fault::Cut) => cut(response).await,
        _ => response,
    }
}

fn failed(status: u16, page: &'static str) -> Response {
    response(StatusCode::from_u16(status).expect("a status"), "text/html", page)
}

fn said(status: u16, content_type: &str, body: &str) -> Response {
    let [content_type, body] = [content_type, body].map(|text| text.replace("@token@", Upstash::TOKEN));
    let mut response = response(StatusCode::from_u16(status).expect("a status"), "text/html", body);
    let content_type = HeaderValue::try_from(content_type).expect("it is ASCII");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// The same answer, whose second half never comes.
async fn cut(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("it is all there");
    head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    let broken = stream::once(async move { Ok(half) }).chain(stream::once(async {
        // The server sends what it has only when there is nothing more to be had at once.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut on purpose"))
    }));
    Response::from_parts(head, Body::from_stream(broken))
}
