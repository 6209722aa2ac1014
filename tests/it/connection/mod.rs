//! The managed connection, as users get it: `Keylatch::connection()`.

mod cluster;
mod commands;
mod masters;
mod replicas;
mod retries;
mod shared;

use keylatch::{Builder, Connection};

use crate::support::{RedisServer, keylatch};

fn connection(server: &RedisServer) -> Connection {
    keylatch(server).connection().expect("there is a server")
}

fn built(builder: Builder) -> Connection {
    builder.build().expect("good settings").connection().expect("there is a server")
}

/// How often the server was asked to do that, refused calls included.
fn calls(server: &RedisServer, command: &str) -> u64 {
    let info = server.query(&["INFO", "commandstats"]).expect("the server answers");
    let info: String = redis::from_redis_value(info).expect("text");
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().expect("a first part").parse().expect("a number"))
}
