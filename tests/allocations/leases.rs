//! A look at a lease.

use std::hint::black_box;

use allocation_counter::measure;
use keylatch::Keylatch;

#[tokio::test]
async fn a_look_at_a_lease_allocates_nothing() {
    let cache = Keylatch::in_memory();
    let guard = cache.lock("looked-at").fence().acquire().await.expect("nobody else locks");
    let lease = guard.lease();
    lease.check().expect("it is held");
    let looks = measure(|| {
        for _ in 0..1_000 {
            lease.check().expect("it is held");
            black_box((lease.remaining(), lease.token()));
        }
    });
    assert_eq!(looks.count_total, 0);
    // Otherwise nothing is counted.
    assert!(measure(|| drop(black_box(vec![1]))).count_total > 0);
    guard.release().await.expect("it is held");
}
