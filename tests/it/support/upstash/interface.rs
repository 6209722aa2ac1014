//! What the REST interface of Upstash does with a request, after its documentation.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, RedisResult, Value};
use serde_json::{Value as Json, json};

use super::encoding::{Strings, error_text, item, resp2};

/// Commands that need a connection of their own, or speak of one.
const UNAVAILABLE: [&str; 14] = [
    "WATCH",
    "UNWATCH",
    "MULTI",
    "EXEC",
    "DISCARD",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "MONITOR",
    "BLPOP",
    "BRPOP",
    "CLIENT",
    "HELLO",
    "CLUSTER",
    "SELECT",
];

/// A request, read to the end.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Clone, Copy)]
enum Form {
    Json(Strings),
    Resp2,
}

/// A request that is answered with an error.
struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }
}

type Refused<T> = Result<T, Refusal>;

/// The answer to a request, from the server behind.
pub(super) async fn answer(request: &Request, token: &str, redis: &redis::Client) -> Response {
    match attempt(request, token, redis).await {
        Ok(response) => response,
        Err(Refusal(status, text)) => json_response(status, &json!({ "error": text })),
    }
}

async fn attempt(request: &Request, token: &str, redis: &redis::Client) -> Refused<Response> {
    if !matches!(request.method, Method::HEAD | Method::GET | Method::POST | Method::PUT) {
        return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "ERR method not allowed".to_owned()));
    }
    if !is_authorized(request, token) {
        return Err(Refusal(StatusCode::UNAUTHORIZED, "WRONGPASS invalid or missing auth token".to_owned()));
    }
    let form = form(&request.headers)?;
    // One connection a request: nothing carries over from one to the next.
    let unavailable =
        |error| Refusal(StatusCode::SERVICE_UNAVAILABLE, format!("the database is away: {error}"));
    let mut redis = redis.get_multiplexed_async_connection().await.map_err(unavailable)?;
    let post = request.method == Method::POST;
    match request.uri.path() {
        "/" if post => {
            let value = run(&mut redis, &command(&parse(&request.body)?)?).await?;
            Ok(one(&value, form))
        }
        "/pipeline" if post => {
            let mut values = Vec::new();
            for command in commands(&request.body)? {
                values.push(match command {
                    Ok(command) => run(&mut redis, &command).await?,
                    Err(Refusal(_, text)) => error(&text),
                });
            }
            Ok(several(&values, form))
        }
        "/multi-exec" if post => {
            let commands = commands(&request.body)?.into_iter().collect::<Refused<Vec<_>>>()?;
            let values = transaction(&mut redis, &commands).await?;
            let Form::Json(strings) = form else { return Ok(several(&values, Form::Json(Strings::Plain))) };
            Ok(several(&values, Form::Json(strings)))
        }
        _ => Ok(one(&run(&mut redis, &path_command(request)?).await?, form)),
    }
}

fn is_authorized(request: &Request, token: &str) -> bool {
    let header = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    header.and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
        || options(&request.uri).any(|(name, value)| name == "_token" && value == token.as_bytes())
}

fn form(headers: &HeaderMap) -> Refused<Form> {
    let named = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let strings = match named("upstash-encoding") {
        Some(b"base64") => Strings::Base64,
        _ => Strings::Plain,
    };
    match named("upstash-response-format") {
        None | Some(b"json") => Ok(Form::Json(strings)),
        Some(b"resp2") if strings == Strings::Plain => Ok(Form::Resp2),
        Some(b"resp2") => Err(Refusal::bad("ERR base64 is not permitted with resp2")),
        Some(_) => Err(Refusal::bad("ERR unknown response format")),
    }
}

fn parse(body: &[u8]) -> Refused<Json> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("ERR failed to parse the request: {error}")))
}

fn commands(body: &[u8]) -> Refused<Vec<Refused<Cmd>>> {
    match parse(body)? {
        Json::Array(commands) if commands.iter().all(Json::is_array) && !commands.is_empty() => {
            Ok(commands.iter().map(command).collect())
        }
        _ => Err(Refusal::bad("ERR an array of commands is expected")),
    }
}

fn command(json: &Json) -> Refused<Cmd> {
    let arguments = json.as_array().filter(|arguments| !arguments.is_empty());
    let mut command = Cmd::new();
    for argument in arguments.ok_or_else(|| Refusal::bad("ERR empty command"))? {
        match argument {
            Json::String(text) => command.arg(text),
            Json::Number(number) => command.arg(number.to_string()),
            other => {
                return Err(Refusal::bad(format!("ERR an argument is neither text nor a number: {other}")));
            }
        };
    }
    available(command)
}

/// The segments of the path, the body where there is one, and the options behind the question mark.
fn path_command(request: &Request) -> Refused<Cmd> {
    let mut command = Cmd::new();
    for segment in request.uri.path().trim_start_matches('/').split('/') {
        command.arg(unescape(segment));
    }
    if !request.body.is_empty() {
        command.arg(&*request.body);
    }
    for (name, value) in options(&request.uri).filter(|(name, _)| *name != "_token") {
        command.arg(name);
        if !value.is_empty() {
            command.arg(value);
        }
    }
    available(command)
}

fn available(command: Cmd) -> Refused<Cmd> {
    let name = match command.args_iter().next() {
        Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).to_uppercase(),
        _ => return Err(Refusal::bad("ERR empty command")),
    };
    if UNAVAILABLE.contains(&name.as_str()) {
        return Err(Refusal::bad(format!("ERR Command is not available: '{name}'")));
    }
    Ok(command)
}

fn options(uri: &Uri) -> impl Iterator<Item = (&str, Vec<u8>)> {
    let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| (name, unescape(value)))
}

fn unescape(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    bytes
}

async fn run(redis: &mut MultiplexedConnection, command: &Cmd) -> Refused<Value> {
    let value = redis.req_packed_command(command).await;
    kept(value).map_err(|error| {
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("the database broke off: {error}"))
    })
}

/// An error of the server is an answer like others.
fn kept(value: RedisResult<Value>) -> RedisResult<Value> {
    value.or_else(|error| redis::ServerError::try_from(error).map(Value::ServerError))
}

async fn transaction(redis: &mut MultiplexedConnection, commands: &[Cmd]) -> Refused<Vec<Value>> {
    run(redis, &redis::cmd("MULTI")).await?;
    for command in commands {
        if let Value::ServerError(error) = run(redis, command).await? {
            // The server forgets the rest with the connection.
            return Err(Refusal::bad(error_text(&error)));
        }
    }
    match run(redis, &redis::cmd("EXEC")).await? {
        Value::Array(values) => Ok(values),
        Value::ServerError(error) => Err(Refusal::bad(error_text(&error))),
        other => Err(Refusal::bad(format!("ERR not the answer of a transaction: {other:?}"))),
    }
}

fn error(text: &str) -> Value {
    redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("it is a line")
}

fn one(value: &Value, form: Form) -> Response {
    let status = match value {
        Value::ServerError(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    match form {
        Form::Json(strings) => json_response(status, &item(value, strings)),
        Form::Resp2 => resp2_response(status, std::slice::from_ref(value)),
    }
}

fn several(values: &[Value], form: Form) -> Response {
    match form {
        Form::Json(strings) => {
            let items: Json = values.iter().map(|value| item(value, strings)).collect();
            json_response(StatusCode::OK, &items)
        }
        Form::Resp2 => resp2_response(StatusCode::OK, values),
    }
}

fn json_response(status: StatusCode, body: &Json) -> Response {
    response(status, "application/json", body.to_string())
}

fn resp2_response(status: StatusCode, values: &[Value]) -> Response {
    let mut body = Vec::new();
    for value in values {
        resp2(value, &mut body);
    }
    response(status, "application/octet-stream", body)
}

pub(super) fn response(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
