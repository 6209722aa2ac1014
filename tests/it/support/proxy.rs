//! A TCP proxy in front of a server that can do to its connections what networks do: delay, swallow, hold back, cut, refuse,
//! answer garbage, or fall silent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to bytes, on connections that there are and on new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// Each direction is that much later, at full throughput.
    Delay(Duration),
    /// Nothing passes, and nothing is closed; what comes meanwhile is delivered when it ends.
    Hold,
    /// What the client sends is swallowed.
    SwallowRequests,
    /// What the server answers is swallowed.
    SwallowAnswers,
    /// Instead of answers come bytes that make no sense.
    Garbage,
    /// New connections are closed at once, and those that there are, too.
    Refuse,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    silenced: watch::Sender<u32>,
    cut: watch::Sender<u32>,
}

/// What one connection watches.
#[derive(Debug, Clone)]
struct Watching {
    mode: watch::Receiver<Mode>,
    silenced: watch::Receiver<u32>,
    cut: watch::Receiver<u32>,
}

impl Proxy {
    /// Forwards to that port of this machine until the runtime ends.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (mode, silenced, cut) =
            (watch::Sender::new(Mode::Pass), watch::Sender::new(0), watch::Sender::new(0));
        let proxy = Self { address, mode, silenced, cut };
        let watching = proxy.watching();
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                let watching = watching.clone();
                tokio::spawn(forward(client, port, watching));
            }
        });
        proxy
    }

    fn watching(&self) -> Watching {
        Watching {
            mode: self.mode.subscribe(),
            silenced: self.silenced.subscribe(),
            cut: self.cut.subscribe(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on, for all connections.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Nothing passes any more on the connections that there are, and they stay open. New ones work.
    pub(crate) fn silence(&self) {
        self.silenced.send_modify(|times| *times += 1);
    }

    /// Resets the connections that there are. New ones work.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|times| *times += 1);
    }
}

async fn forward(client: TcpStream, port: u16, mut watching: Watching) {
    // Only what happens from now on concerns this connection.
    watching.silenced.mark_unchanged();
    watching.cut.mark_unchanged();
    if *watching.mode.borrow() == Mode::Refuse {
        return reset(&client);
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return reset(&client) };
    // Otherwise small answers would wait for acknowledgements, which is not what is tested.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (requests, answers) = (watching.mode.clone(), watching.mode.clone());
    let silenced = async {
        let _ = watching.silenced.changed().await;
    };
    let ended = async {
        tokio::select! {
            () = pump(&mut from_client, &mut to_server, requests, Direction::Requests) => {}
            () = pump(&mut from_server, &mut to_client, answers, Direction::Answers) => {}
            _ = watching.cut.changed() => {}
            () = refused(watching.mode.clone()) => {}
        }
    };
    tokio::select! {
        () = ended => {}
        () = silenced => std::future::pending().await,
    }
    if let Ok(client) = from_client.reunite(to_client) {
        reset(&client);
    }
}

/// Closing with unsent data forgotten sends a reset.
fn reset(client: &TcpStream) {
    let _ = socket2::SockRef::from(client).set_linger(Some(Duration::ZERO));
}

async fn refused(mut mode: watch::Receiver<Mode>) {
    let _ = mode.wait_for(|mode| *mode == Mode::Refuse).await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

/// Moves bytes one way until either end closes.
async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mode: watch::Receiver<Mode>,
    direction: Direction,
) {
    // Bounded, so that a held connection exerts back-pressure instead of filling memory.
    let (queue, mut queued) = tokio::sync::mpsc::channel::<(Instant, Vec<u8>)>(1_024);
    let reading = async {
        loop {
            let mut bytes = vec![0; 16 << 10];
            let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
            bytes.truncate(count);
            if queue.send((Instant::now(), bytes)).await.is_err() {
                return;
            }
        }
    };
    let mut mode = mode;
    let writing = async {
        while let Some((came, bytes)) = queued.recv().await {
            if mode.wait_for(|mode| *mode != Mode::Hold).await.is_err() {
                return;
            }
            let now = *mode.borrow();
            let bytes = match (now, direction) {
                (Mode::Delay(delay), _) => {
                    tokio::time::sleep(delay.saturating_sub(came.elapsed())).await;
                    bytes
                }
                (Mode::SwallowRequests, Direction::Requests) | (Mode::SwallowAnswers, Direction::Answers) => {
                    continue;
                }
                (Mode::Garbage, Direction::Answers) => b"@@ this is not Redis @@\r\n".repeat(4),
                _ => bytes,
            };
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
