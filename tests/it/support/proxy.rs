//! A TCP proxy in front of a server, whose connections can fall silent without being closed, as when a host disappears.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    silenced: watch::Sender<u32>,
}

impl Proxy {
    /// Forwards to that port of this machine until the runtime ends.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let silenced = watch::Sender::new(0);
        let watching = silenced.clone();
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                tokio::spawn(forward(client, port, watching.subscribe()));
            }
        });
        Self { address, silenced }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Nothing passes any more on the connections that there are, and they stay open. New ones work.
    pub(crate) fn silence(&self) {
        self.silenced.send_modify(|times| *times += 1);
    }
}

async fn forward(mut client: TcpStream, port: u16, mut silenced: watch::Receiver<u32>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _closed = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _changed = silenced.changed() => std::future::pending().await,
    }
}
