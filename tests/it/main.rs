//! The integration tests: one binary, one module a promise.

mod cached;
mod keys;
mod cache_invalidate;
mod support;
mod torture;
