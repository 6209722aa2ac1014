//! What every lock master must do, whatever it is made of.

use std::time::Duration;

use super::{Acquire, Answer, Extend, Freed, LockMaster, Mint, Owned, Queue};
use crate::clock;
use crate::key::{Key, KeySpace, Namespace};
use crate::lock::sharing::Sharing;
use crate::lock::value::LockValue;

const LIFE: Duration = Duration::from_secs(60);

fn key(name: &str) -> Key {
    let namespace = Namespace::new("conformance", "test").expect("a namespace");
    KeySpace::new(&namespace).lock(|writer| writer.path(name))
}

async fn acquire(master: &impl LockMaster, lock: Owned<'_>, ttl: Duration, mint: Option<Mint>) -> Answer {
    let request = Acquire { lock, ttl, mint, queue: Queue::Leave, instead_of: None };
    master.acquire(&request).await.expect("the master is up")
}

async fn a_lock_belongs_to_its_value(master: &impl LockMaster) {
    let key = key("owned");
    let [one, two, three] =
        [(); 3].map(|()| Owned { key: &key, value: LockValue::new(), sharing: Sharing::Alone });
    let extend = async |lock| master.extend(&[Extend { lock, ttl: LIFE }]).await.remove(0).unwrap();
    let granted = Answer::Granted { token: None };
    assert_eq!(acquire(master, one, LIFE, None).await, granted);
    assert_eq!(acquire(master, one, LIFE, None).await, granted, "what is ours counts as granted");
    let Answer::Held(held) = acquire(master, two, LIFE, None).await else { panic!("it is held") };
    assert!(held.left <= LIFE && held.left > LIFE / 2 && held.place.is_none(), "{held:?}");
    assert_eq!(extend(two).await, None);
    assert!(extend(one).await.is_some_and(|left| left <= LIFE && left > LIFE / 2));
    assert_eq!(master.release(two).await.unwrap(), Freed::NotHeld);
    assert_eq!(master.release(one).await.unwrap(), Freed::Free);
    assert_eq!(master.release(one).await.unwrap(), Freed::NotHeld, "a second time");
    assert_eq!(acquire(master, two, Duration::from_millis(20), None).await, granted);
    clock::sleep(Duration::from_millis(40)).await;
    assert_eq!(extend(two).await, None, "it has expired");
    assert_eq!(master.release(two).await.unwrap(), Freed::NotHeld, "it has expired");
    assert_eq!(acquire(master, three, LIFE, None).await, granted);
    let _free = master.release(three).await.unwrap();
}

async fn tokens_grow(master: &impl LockMaster) {
    let key = key("fenced");
    let mint = |proposal, count| Some(Mint { proposal, count });
    let take = async |proposal, count| {
        let lock = Owned { key: &key, value: LockValue::new(), sharing: Sharing::Alone };
        let answer = acquire(master, lock, LIFE, mint(proposal, count)).await;
        let Answer::Granted { token: Some(token) } = answer else { panic!("{answer:?}") };
        (lock, token.get())
    };
    let (lock, first) = take(1_000, 16).await;
    assert!(first >= 1_000);
    let _free = master.release(lock).await.unwrap();
    let (lock, second) = take(5, 1).await;
    assert_eq!(second, first + 16, "after all that were taken");
    let _free = master.release(lock).await.unwrap();
    // As far as numbers go that servers count exactly.
    let high = (1_u64 << 53) - 100;
    let (lock, third) = take(high, 1).await;
    assert_eq!(third, high);
    let _free = master.release(lock).await.unwrap();
    let (lock, last) = take(1, 1).await;
    assert_eq!(last, high + 1);
    let _free = master.release(lock).await.unwrap();
}

macro_rules! conformance {
    ($($check:ident),* $(,)?) => {
        /// Runs every check, one after the other, against the lock master of a `Keylatch` that nobody else uses.
        ///
        /// # Panics
        /// When the master does not conform.
        #[doc(hidden)]
        pub(crate) async fn conforms(keylatch: &crate::Keylatch) {
            $($check(keylatch.lock_master()).await;)*
        }

        #[cfg(test)]
        mod on_memory {
            $(#[tokio::test]
            async fn $check() {
                super::$check(crate::Keylatch::in_memory().lock_master()).await;
            })*
        }
    };
}

conformance! {
    a_lock_belongs_to_its_value,
    tokens_grow,
}
