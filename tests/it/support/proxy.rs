//! A TCP proxy in front of a server that can do to its connections what networks do: delay, swallow, hold back, cut, refuse,
//! answer garbage, or fall silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};

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
    /// A connection over which the client has sent that word is reset as soon as the server has it. New ones work.
    CutAfter(&'static str),
    /// New connections are closed at once, and those that there are, too.
    Refuse,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    silenced: watch::Sender<u32>,
    cut: watch::Sender<u32>,
    haunted: watch::Sender<Option<Duration>>,
    delayed: Delayed,
}

/// All that clients have sent while they were haunted.
type Delayed = Arc<std::sync::Mutex<Vec<u8>>>;

/// What one connection watches.
#[derive(Debug, Clone)]
struct Watching {
    mode: watch::Receiver<Mode>,
    silenced: watch::Receiver<u32>,
    cut: watch::Receiver<u32>,
    haunted: watch::Receiver<Option<Duration>>,
    delayed: Delayed,
}

impl Proxy {
    /// Forwards to that port of this machine until the runtime ends.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let proxy = Self {
            address,
            mode: watch::Sender::new(Mode::Pass),
            silenced: watch::Sender::new(0),
            cut: watch::Sender::new(0),
            haunted: watch::Sender::new(None),
            delayed: Delayed::default(),
        };
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
            haunted: self.haunted.subscribe(),
            delayed: Arc::clone(&self.delayed),
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

    /// What clients send from now on reaches the server that much later, also when its connection has ended by then.
    pub(crate) fn haunt(&self, delay: Option<Duration>) {
        self.haunted.send_replace(delay);
    }

    /// Whether clients have sent that word while they were haunted.
    pub(crate) fn has_delayed(&self, word: &str) -> bool {
        contains(&self.delayed.lock().expect("nobody panics with it"), word)
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
    let (mut from_server, to_server) = server.into_split();
    let mut to_server = ToServer {
        half: Arc::new(Mutex::new(to_server)),
        haunted: watching.haunted.clone(),
        delayed: Arc::clone(&watching.delayed),
    };
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

/// The way to the server, which outlives its connection as long as something is to be delivered.
struct ToServer {
    half: Arc<Mutex<OwnedWriteHalf>>,
    haunted: watch::Receiver<Option<Duration>>,
    delayed: Delayed,
}

/// Where bytes go.
trait Sink {
    async fn send(&mut self, bytes: Vec<u8>) -> std::io::Result<()>;
}

impl Sink for ToServer {
    async fn send(&mut self, bytes: Vec<u8>) -> std::io::Result<()> {
        let delay = *self.haunted.borrow();
        let Some(delay) = delay else { return self.half.lock().await.write_all(&bytes).await };
        self.delayed.lock().expect("nobody panics with it").extend_from_slice(&bytes);
        let half = Arc::clone(&self.half);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            half.lock().await.write_all(&bytes).await
        });
        Ok(())
    }
}

impl Sink for OwnedWriteHalf {
    async fn send(&mut self, bytes: Vec<u8>) -> std::io::Result<()> {
        self.write_all(&bytes).await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Moves bytes one way until either end closes.
async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut impl Sink,
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
                (Mode::CutAfter(word), Direction::Requests) if contains(&bytes, word) => {
                    // Whether or not it could be delivered, this is the end.
                    let _ = to.send(bytes).await;
                    return;
                }
                (Mode::Garbage, Direction::Answers) => b"@@ this is not Redis @@\r\n".repeat(4),
                _ => bytes,
            };
            if to.send(bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
