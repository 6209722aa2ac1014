//! Locks of other kinds than one holder of one key, and latches: what each promises, on Redis and on the embedded store alike.

mod latch;
