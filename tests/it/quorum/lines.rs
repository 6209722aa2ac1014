//! Lines of a given length to servers, exact to some microseconds, which timers of the runtime are not.
//!
//! One thread serves all of them: with some for each, they would take the processors from what is measured, and from each other.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The system wakes a thread that much too late.
const LATE: Duration = Duration::from_micros(80);

/// Lines to servers, by whose order they are numbered. They end with the process.
pub(super) struct Lines {
    pub(super) ports: Vec<u16>,
    /// One way, in microseconds.
    delays: Arc<[AtomicU64]>,
}

impl Lines {
    pub(super) fn to(servers: impl IntoIterator<Item = u16>, one_way: Duration) -> Self {
        let mut ports = Vec::new();
        let mut ends = Vec::new();
        for server in servers {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.set_nonblocking(true).expect("a socket of ours");
            ports.push(listener.local_addr().expect("a bound port").port());
            ends.push(End { listener, server });
        }
        let lines = Self { delays: ports.iter().map(|_| AtomicU64::default()).collect(), ports };
        (0..lines.ports.len()).for_each(|line| lines.set(line, one_way));
        let delays = Arc::clone(&lines.delays);
        std::thread::spawn(move || carry(&ends, &delays));
        lines
    }

    pub(super) fn set(&self, line: usize, one_way: Duration) {
        self.delays[line].store(u64::try_from(one_way.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

/// Where clients call, and whom they mean.
struct End {
    listener: TcpListener,
    server: u16,
}

/// One direction of one connection.
struct Pipe {
    line: usize,
    from: TcpStream,
    to: TcpStream,
    /// What is on its way, and when it arrives.
    under_way: VecDeque<(Instant, Vec<u8>)>,
}

fn carry(ends: &[End], delays: &[AtomicU64]) {
    let mut pipes: Vec<Pipe> = Vec::new();
    loop {
        let arrival = pipes.iter().filter_map(|pipe| pipe.under_way.front()).map(|(due, _)| *due).min();
        wait_for_bytes(ends, &pipes, arrival);
        for (line, end) in ends.iter().enumerate() {
            while let Ok((client, _)) = end.listener.accept() {
                pipes.extend(both_ways(line, client, end.server));
            }
        }
        pipes.retain_mut(|pipe| {
            let delay = Duration::from_micros(delays[pipe.line].load(Ordering::Relaxed));
            let carried = pipe.take(delay).and_then(|()| pipe.deliver());
            if carried.is_err() {
                pipe.hang_up();
            }
            carried.is_ok()
        });
    }
}

/// Until there is something to read, or shortly before what is under way arrives.
fn wait_for_bytes(ends: &[End], pipes: &[Pipe], arrival: Option<Instant>) {
    let listeners = ends.iter().map(|end| PollFd::new(&end.listener, PollFlags::IN));
    let mut sockets: Vec<_> =
        listeners.chain(pipes.iter().map(|pipe| PollFd::new(&pipe.from, PollFlags::IN))).collect();
    let limit = arrival.map(|due| due.saturating_duration_since(Instant::now()).saturating_sub(LATE));
    let limit = limit.map(|limit| Timespec::try_from(limit).expect("a short time"));
    // An interrupted wait is one that has ended.
    let _ = poll(&mut sockets, limit.as_ref());
}

fn both_ways(line: usize, client: TcpStream, server: u16) -> [Pipe; 2] {
    let server = TcpStream::connect(("127.0.0.1", server)).expect("the server runs");
    for stream in [&client, &server] {
        stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).expect("a socket of ours");
    }
    let again = |stream: &TcpStream| stream.try_clone().expect("a socket of ours");
    let pipe = |from, to| Pipe { line, from, to, under_way: VecDeque::new() };
    [pipe(again(&client), again(&server)), pipe(server, client)]
}

impl Pipe {
    /// Takes what there is.
    fn take(&mut self, delay: Duration) -> std::io::Result<()> {
        let mut bytes = [0; 16 << 10];
        match self.from.read(&mut bytes) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.under_way.push_back((Instant::now() + delay, bytes[..count].to_vec()));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Delivers what has arrived.
    fn deliver(&mut self) -> std::io::Result<()> {
        while let Some((due, bytes)) = self.under_way.front() {
            if *due > Instant::now() {
                break;
            }
            self.to.write_all(bytes)?;
            self.under_way.pop_front();
        }
        Ok(())
    }

    /// The other direction ends, too.
    fn hang_up(&self) {
        for stream in [&self.from, &self.to] {
            // Whoever is gone has hung up already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
