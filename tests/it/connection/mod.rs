//! The managed connection, as users get it: `Keylatch::connection()`.

mod cluster;
mod commands;
mod masters;
mod passwords;
mod pool;
mod replicas;
mod retries;
mod shared;
mod switchboard;

use keylatch::{Builder, Connection};

use crate::support::{RedisServer, keylatch};

fn connection(server: &RedisServer) -> Connection {
    keylatch(server).connection().expect("there is a server")
}

fn built(builder: Builder) -> Connection {
    builder.build().expect("good settings").connection().expect("there is a server")
}
