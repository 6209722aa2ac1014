//! The REST interface of Upstash: every command, or batch of commands, is one HTTP request.
//!
//! Over TCP the client has connections, and answers in RESP. Here it has neither, so this module decides how to read an
//! answer. The interface has two ways to carry binary answers, and says in no header which one it took:
//!
//! * `Upstash-Response-Format: resp2` answers as over TCP. It is asked for wherever it is to be had: a server that does
//!   not know it answers in JSON, which never begins like RESP2, so the two cannot be confused.
//! * `Upstash-Encoding: base64` is what remains for transactions, which answer only in JSON. A server that does not know
//!   it answers in plain strings, which may look like base64. So every transaction begins with an `ECHO` of a known
//!   text, whose answer tells. It costs one command more, and needs the right to `ECHO`.
//!
//! Errors are those that the client has over TCP, so that callers need not know which transport they use.

mod answer;
mod failure;
mod json;
mod request;
mod resp2;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use text::{armour, disarm};

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, Pipeline, RedisResult, Value};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use self::answer::Answer;
use self::request::{Form, Request};
use super::Secret;
use crate::error::{Error, ErrorKind, Result};

/// What a server has written, for the next request to see it: whichever server that one reaches.
const SYNC_TOKEN: &str = "upstash-sync-token";

/// The largest answer that is read. Redis itself does not keep longer strings.
const LARGEST_ANSWER: usize = 512 << 20;

/// One REST endpoint. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rest(Arc<Endpoint>);

struct Endpoint {
    http: Client,
    /// Ends with a slash.
    base: String,
    /// For error messages.
    address: String,
    token: Secret,
    sync_token: Mutex<Option<HeaderValue>>,
    largest_answer: usize,
}

impl Rest {
    /// Does not connect yet, so it needs no runtime. Apart from `connect_timeout` nothing limits how long a request takes:
    /// the caller does, by dropping the future, which closes the request's connection.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub(crate) fn new(url: &str, token: &Secret, connect_timeout: Duration) -> Result<Self> {
        let url = address(url)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .ok()
            .filter(|_| !token.reveal().trim().is_empty())
            .ok_or_else(|| {
                bad("upstash token", "not a token", "copy the REST token from the console of Upstash")
            })?;
        authorization.set_sensitive(true);
        let http = client(&url, authorization, connect_timeout)?;
        let mut base = url.to_string();
        if !base.ends_with('/') {
            base.push('/');
        }
        let address = base.trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Endpoint {
            http,
            base,
            address,
            token: token.clone(),
            sync_token: Mutex::default(),
            largest_answer: LARGEST_ANSWER,
        })))
    }

    /// Where it is, for messages. Contains no secret.
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }

    /// Sends one command.
    ///
    /// # Errors
    /// The server's error, with its code, as over TCP. The kind `AuthenticationFailed` where the token is refused, `Io`
    /// where the server was not reached, broke off or is not able to answer now, `Parse` where something else than the
    /// interface answers, and `Client` where an argument or the answer cannot travel.
    pub(crate) async fn command(&self, cmd: &Cmd) -> RedisResult<Value> {
        self.send(Request::command(cmd)?).await?.one()
    }

    /// Sends several commands in one request. There is one value a command, an error of a command in its place.
    ///
    /// That holds for transactions, too: the values are what `EXEC` answers, without the answers to `MULTI` and to the
    /// queueing. The client's `req_packed_commands` has them as one value, `Value::Array(values)`. A transaction that was
    /// discarded as a whole is an error.
    ///
    /// # Errors
    /// As for [`command`](Self::command), for the request as a whole.
    pub(crate) async fn pipeline(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut commands = pipeline.cmd_iter();
        match (pipeline.is_transaction(), commands.next(), pipeline.len()) {
            (_, None, _) => Ok(Vec::new()),
            (true, _, count) => self.send(Request::transaction(pipeline)?).await?.transaction(count),
            // An array of one cannot be told from one answer that is an array, so a lone command is sent as such.
            (false, Some(cmd), 1) => match self.command(cmd).await {
                Ok(value) => Ok(vec![value]),
                Err(error) => {
                    redis::ServerError::try_from(error).map(|error| vec![Value::ServerError(error)])
                }
            },
            (false, _, count) => self.send(Request::pipeline(pipeline)?).await?.several(count),
        }
    }

    async fn send(&self, request: Request) -> RedisResult<Answer<'_>> {
        let endpoint = &*self.0;
        let form = match request.form {
            Form::Resp2 => ("upstash-response-format", "resp2"),
            Form::Base64 => ("upstash-encoding", "base64"),
        };
        let mut http = endpoint
            .http
            .post(format!("{}{}", endpoint.base, request.path))
            .header(CONTENT_TYPE, request.content_type)
            .header(form.0, form.1)
            .body(request.body);
        if let Some(token) = &*endpoint.sync_token.lock().unwrap_or_else(PoisonError::into_inner) {
            http = http.header(SYNC_TOKEN, token);
        }
        let response = http.send().await.map_err(failure::transport)?;
        if let Some(token) = response.headers().get(SYNC_TOKEN) {
            *endpoint.sync_token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("without a content type").to_owned();
        let status = response.status();
        let body = endpoint.read(response).await?;
        Ok(Answer { status, content_type, body, token: &endpoint.token })
    }
}

impl Endpoint {
    async fn read(&self, mut response: Response) -> RedisResult<Vec<u8>> {
        let limit = self.largest_answer;
        let claimed =
            response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        if claimed > limit {
            return Err(failure::too_large(limit));
        }
        // What a server claims is believed only for as much as costs nothing.
        let mut body = Vec::with_capacity(claimed.min(64 << 10));
        while let Some(chunk) = response.chunk().await.map_err(failure::transport)? {
            if body.len() + chunk.len() > limit {
                return Err(failure::too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn bad(setting: &'static str, fault: &'static str, remedy: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, "configure")
        .with("setting", setting)
        .with("fault", fault)
        .remedy(remedy)
}

fn address(url: &str) -> Result<Url> {
    let bad = |fault| bad("upstash url", fault, "write for example `https://name.upstash.io`");
    let url = Url::parse(url.trim()).map_err(|_| bad("not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(bad("not an HTTP URL"));
    }
    // A token may be part of any of these, and the URL is shown.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("a user or password in the URL"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("a query or fragment in the URL"));
    }
    Ok(url)
}

fn client(url: &Url, authorization: HeaderValue, connect_timeout: Duration) -> Result<Client> {
    // The client panics where no provider is installed; another one that the application chose is kept.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
    let client = Client::builder()
        .default_headers(headers)
        .connect_timeout(connect_timeout)
        // The interface never redirects. Whoever does is not meant to see the token.
        .redirect(Policy::none())
        .user_agent(concat!("keylatch/", env!("CARGO_PKG_VERSION")));
    // A proxy that the environment names is for what is outside this machine.
    let client = if is_loopback(url) { client.no_proxy() } else { client };
    // Without TLS nobody is to be trusted, and a machine without any root certificates is good enough.
    let client = if url.scheme() == "http" { client.tls_certs_only([]) } else { client };
    client.build().map_err(|error| {
        bad(
            "upstash url",
            "no HTTPS client",
            "install the root certificates of the system (`ca-certificates`)",
        )
        .because(error.without_url())
    })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rest({})", self.0.address)
    }
}
