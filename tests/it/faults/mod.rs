//! The faults that a connection to a single server must survive: what callers see of each, for how long, and that it heals.

mod witness;

mod breaker;
mod rest;
mod server;
mod wire;
