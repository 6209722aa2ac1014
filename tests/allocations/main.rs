//! What must not allocate, and what little may be allocated, counted by an allocator that counts: so in a test binary of its own.

mod leases;
mod values;
