//! The integration tests: one binary, one module a promise.

mod cached;
mod support;
mod torture;
