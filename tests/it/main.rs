//! The integration tests: one binary, one module a promise.

mod support;
mod torture;
