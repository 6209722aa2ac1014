//! A connection from its socket on: dialled, greeted by the client's handshake, driven by a task of ours.
//!
//! The client's own task writes whatever is there as soon as it is woken, so that under load many small packets leave where
//! one would do. Nagle's algorithm, which the client leaves on, hides that at the price of up to a round trip for whoever
//! asks while others wait. Ours sends small packets at once, and lets those who are about to ask do so first.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::SockRef;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisResult};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::AbortHandle;

use super::traffic::Traffic;

/// The task that drives a connection; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Driver(Option<AbortHandle>);

/// Dials and shakes hands: TLS by the client itself, all else over a socket of ours.
pub(super) async fn dial(
    client: &Client,
    config: AsyncConnectionConfig,
    traffic: &Arc<Traffic>,
) -> RedisResult<(MultiplexedConnection, Driver)> {
    let info = client.get_connection_info();
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let stream = connect(host, *port, info.tcp_settings()).await?;
            driven(info, stream, config, traffic).await
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => {
            driven(info, tokio::net::UnixStream::connect(path).await?, config, traffic).await
        }
        _ => Ok((client.get_multiplexed_async_connection_with_config(&config).await?, Driver(None))),
    }
}

/// To whichever address of the host answers first.
async fn connect(host: &str, port: u16, settings: &TcpSettings) -> io::Result<TcpStream> {
    let addresses = lookup_host((host, port)).await?.map(|address| Box::pin(TcpStream::connect(address)));
    let addresses: Vec<_> = addresses.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    }
    let (stream, _others) = select_ok(addresses).await?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_nodelay(settings.nodelay())?;
    if let Some(keepalive) = settings.keepalive() {
        socket.set_tcp_keepalive(keepalive)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(settings.user_timeout())?;
    Ok(stream)
}

async fn driven(
    info: &ConnectionInfo,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    config: AsyncConnectionConfig,
    traffic: &Arc<Traffic>,
) -> RedisResult<(MultiplexedConnection, Driver)> {
    let (connection, driver) =
        MultiplexedConnection::new_with_config(info.redis_settings(), stream, config).await?;
    let gathering = Gathering { driver: Box::pin(driver), traffic: Arc::clone(traffic), waited: false };
    let task = tokio::spawn(gathering);
    Ok((connection, Driver(Some(task.abort_handle()))))
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Gives way once before each turn while several commands are under way: those whose answers have just been handed out ask
/// again, and travel together.
struct Gathering<D> {
    driver: Pin<Box<D>>,
    traffic: Arc<Traffic>,
    waited: bool,
}

impl<D: Future> Future for Gathering<D> {
    type Output = D::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<D::Output> {
        if !self.waited && self.traffic.under_way() > 1 {
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        self.driver.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use redis::IntoConnectionInfo;
    use redis::io::tcp::socket2::TcpKeepalive;
    use tokio::net::TcpListener;

    use super::super::Tls;
    use super::*;

    /// What the kernel says of the socket, not what was asked for.
    #[tokio::test]
    async fn sockets_are_watched_by_the_kernel_and_send_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let address =
            super::super::Address::parse(&format!("redis://127.0.0.1:{port}"), "test", Tls::default());
        let client = address.expect("a good URL").client().expect("a good URL");
        let settings = client.get_connection_info().tcp_settings().clone();
        let stream = connect("localhost", port, &settings).await.expect("somebody listens");
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("it tells"));
        assert!(socket.keepalive().expect("it tells"));
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().expect("it tells"), Duration::from_secs(15));
            assert_eq!(socket.tcp_keepalive_interval().expect("it tells"), Duration::from_secs(5));
            assert_eq!(socket.tcp_keepalive_retries().expect("it tells"), 3);
            assert_eq!(socket.tcp_user_timeout().expect("it tells"), Some(Duration::from_secs(10)));
        }
    }

    #[tokio::test]
    async fn other_settings_are_other_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let info = format!("redis://127.0.0.1:{port}").into_connection_info().expect("a good URL");
        let settings = info.tcp_settings().clone().set_nodelay(false);
        let settings = settings.set_keepalive(TcpKeepalive::new().with_time(Duration::from_secs(77)));
        let stream = connect("127.0.0.1", port, &settings).await.expect("somebody listens");
        let socket = SockRef::from(&stream);
        assert!(!socket.tcp_nodelay().expect("it tells"));
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_keepalive_time().expect("it tells"), Duration::from_secs(77));
    }
}
