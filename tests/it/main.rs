//! The integration tests: one binary, one module a promise.

mod cache_invalidate;
mod cached;
mod keys;
mod support;
mod tidy;
mod torture;
