//! The faults that a connection to a single server must survive: what callers see of each, for how long, and that it heals.

mod refusals;
mod witness;

mod breaker;
mod rate;
mod rest;
mod server;
mod wire;
