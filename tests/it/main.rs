//! The integration tests: one binary, one module a promise.

mod auto_traits;
mod batch;
mod cache_invalidate;
mod cached;
mod connection;
mod failover;
mod faults;
mod global;
mod health;
mod keys;
mod locks;
mod order;
mod outage;
mod programmatic;
mod refuge;
mod rolling;
mod shutdown;
mod stampede;
mod support;
mod telemetry;
mod tidy;
mod tls;
mod topologies;
mod torture;
mod upstash;
mod with_lock;
