//! A proxy that tells the connections apart that are made through it: it knows what each has carried, and can hold or
//! cut each by itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Switchboard {
    port: u16,
    wires: Arc<Mutex<Vec<Arc<Wire>>>>,
}

/// What happens to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Passes,
    /// What the client sends is delivered when it passes again.
    Held,
    /// For good.
    Cut,
}

#[derive(Debug)]
struct Wire {
    /// Bytes that the client has sent.
    sent: AtomicUsize,
    state: watch::Sender<State>,
}

impl Switchboard {
    /// Forwards to that port of this machine until the runtime ends.
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("a bound port").port();
        let board = Self { port: own, wires: Arc::default() };
        let wires = Arc::clone(&board.wires);
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                let wire = Arc::new(Wire::new());
                lock(&wires).push(Arc::clone(&wire));
                tokio::spawn(async move { wire.forward(client, port).await });
            }
        });
        board
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The bytes that came over each connection, in the order in which they were made.
    pub(super) fn sent(&self) -> Vec<usize> {
        lock(&self.wires).iter().map(|wire| wire.sent.load(Ordering::SeqCst)).collect()
    }

    /// From now on, for the connection that was made as that many-th, counted from 0.
    pub(super) fn set(&self, index: usize, state: State) {
        lock(&self.wires)[index].state.send_replace(state);
    }
}

fn lock(wires: &Mutex<Vec<Arc<Wire>>>) -> MutexGuard<'_, Vec<Arc<Wire>>> {
    wires.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    fn new() -> Self {
        Self { sent: AtomicUsize::new(0), state: watch::Sender::new(State::Passes) }
    }

    async fn forward(&self, client: TcpStream, port: u16) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        // Otherwise small answers would wait for acknowledgements.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, mut to_client) = client.into_split();
        let (mut from_server, to_server) = server.into_split();
        tokio::select! {
            () = self.requests(from_client, to_server) => {}
            _ended = tokio::io::copy(&mut from_server, &mut to_client) => {}
            () = cut(self.state.subscribe()) => {}
        }
    }

    async fn requests(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut state = self.state.subscribe();
        let mut bytes = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            self.sent.fetch_add(count, Ordering::SeqCst);
            if state.wait_for(|state| *state != State::Held).await.is_err() {
                return;
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }
}

async fn cut(mut state: watch::Receiver<State>) {
    let _ = state.wait_for(|state| *state == State::Cut).await;
}
