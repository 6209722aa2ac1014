//! What every store must do, whatever it is made of and whatever servers it has. Each check has keys of its own. The embedded
//! store is checked here, every topology by the integration tests, which start the servers.

use std::time::Duration;

use super::{
    Claim, ClaimRequest, Freshness, Guarded, Held, Lease, ManyClaims, Overlap, Replacement, Slot, SlotClaim,
    StampState, Store, new_hold,
};
use crate::clock;
use crate::invalidation::Report;
use crate::key::{Key, KeySpace, Namespace, Pattern, stamp_of};

const LIFE: Duration = Duration::from_secs(60);

fn space() -> KeySpace {
    KeySpace::new(&Namespace::new("conformance", "test").expect("a namespace"))
}

fn entry(name: &str) -> Key {
    space().entry(|writer| writer.path(name))
}

async fn get(store: &impl Store, key: &Key) -> Option<Vec<u8>> {
    store.read(&[key], Freshness::Current).await.expect("the store is up").values[0]
        .as_ref()
        .map(|bytes| bytes.to_vec())
}

async fn claim(store: &impl Store, slot: &Key, over: Option<&[u8]>, stamps: &[&Key]) -> (Lease, Claim) {
    let lease = Lease::new();
    let request = ClaimRequest { slot, over, lease, lease_life: LIFE, stamps, stamp_life: LIFE, beside: &[] };
    (lease, store.claim(request).await.expect("the store is up"))
}

async fn one_claim_wins(store: &impl Store) {
    let (slot, tag) = (entry("claim"), space().tag(|writer| writer.path("t")));
    let (lease, won) = claim(store, &slot, None, &[&tag]).await;
    let Claim::Won(stamps) = won else { panic!("the slot was empty") };
    assert!(matches!(stamps[..], [StampState::Current(_)]));
    assert_eq!(get(store, &slot).await.as_deref(), Some(lease.as_bytes()));
    let (_, second) = claim(store, &slot, None, &[&tag]).await;
    assert_eq!(second, Claim::Lost);
    // A later claim sees the same stamp.
    let (_, over) = claim(store, &slot, Some(lease.as_bytes()), &[&tag]).await;
    assert_eq!(over, Claim::Won(stamps));
    let (_, stale) = claim(store, &slot, Some(lease.as_bytes()), &[&tag]).await;
    assert_eq!(stale, Claim::Lost, "the lease it saw is gone");
}

async fn a_fill_needs_what_its_loader_saw(store: &impl Store) {
    let slot = entry("fill");
    let (lease, _) = claim(store, &slot, None, &[]).await;
    assert_eq!(store.replace(&slot, b"L-another", b"Vx", LIFE).await.unwrap(), Guarded::Refused);
    assert_eq!(store.replace(&slot, lease.as_bytes(), b"Vfirst", LIFE).await.unwrap(), Guarded::Applied);
    assert_eq!(store.replace(&slot, b"Vfi", b"Vsecond", LIFE).await.unwrap(), Guarded::Applied);
    store.invalidate(&[&slot]).await.unwrap();
    assert_eq!(store.replace(&slot, b"Vsecond", b"Vlate", LIFE).await.unwrap(), Guarded::Refused);
    assert_eq!(get(store, &slot).await, None);
}

async fn a_lease_is_extended_and_released_by_its_owner(store: &impl Store) {
    let slot = entry("lease");
    let (lease, _) = claim(store, &slot, None, &[]).await;
    assert_eq!(store.extend(&slot, b"L", LIFE).await.unwrap(), Guarded::Refused);
    assert_eq!(store.extend(&slot, lease.as_bytes(), LIFE * 2).await.unwrap(), Guarded::Applied);
    assert!(store.time_to_live(&slot).await.unwrap().unwrap() > LIFE);
    assert_eq!(store.release(&slot, b"L").await.unwrap(), Guarded::Refused);
    assert_eq!(store.release(&slot, lease.as_bytes()).await.unwrap(), Guarded::Applied);
    assert_eq!(get(store, &slot).await, None);
    assert_eq!(store.release(&slot, lease.as_bytes()).await.unwrap(), Guarded::Refused);
}

async fn a_slot_slides_while_it_holds_what_was_read(store: &impl Store) {
    let (slot, step) = (entry("slide"), LIFE / 10);
    assert_eq!(store.slide(&slot, b"V1", LIFE, step).await.unwrap(), Guarded::Refused, "nothing is there");
    assert_eq!(store.put(&slot, b"V1 and more", LIFE / 2).await.unwrap(), Guarded::Applied);
    assert_eq!(store.slide(&slot, b"V2", LIFE, step).await.unwrap(), Guarded::Refused, "another write");
    assert_eq!(
        store.slide(&slot, b"V1", LIFE / 2, step).await.unwrap(),
        Guarded::Refused,
        "too small a step"
    );
    assert!(store.time_to_live(&slot).await.unwrap().unwrap() <= LIFE / 2);
    assert_eq!(store.slide(&slot, b"V1", LIFE, step).await.unwrap(), Guarded::Applied);
    assert!(store.time_to_live(&slot).await.unwrap().unwrap() > LIFE / 2);
    assert_eq!(store.slide(&slot, b"V1", LIFE, step).await.unwrap(), Guarded::Refused, "it was just done");
    store.invalidate(&[&slot]).await.unwrap();
    assert_eq!(store.slide(&slot, b"V1", LIFE * 2, step).await.unwrap(), Guarded::Refused);
    assert_eq!(get(store, &slot).await, None);
}

async fn many_slots_are_claimed_and_filled_one_by_one(store: &impl Store) {
    let keys: Vec<Key> = (0..600).map(|index| entry(&format!("batch:{index}"))).collect();
    let tag = space().tag(|writer| writer.path("batch"));
    let (theirs, _) = claim(store, &keys[0], None, &[]).await;
    let (mine, _) = claim(store, &keys[1], None, &[]).await;
    let leases: Vec<Lease> = keys.iter().map(|_| Lease::new()).collect();
    let over = |index| (index == 1).then(|| mine.as_bytes());
    let slots: Vec<SlotClaim<'_>> = (0..keys.len())
        .map(|index| SlotClaim { slot: &keys[index], over: over(index), lease: leases[index] })
        .collect();
    let claims =
        ManyClaims { slots: &slots, lease_life: LIFE, stamps: &[&tag], stamp_life: LIFE, beside: &[] };
    let claimed = store.claim_many(claims).await.unwrap();
    assert_eq!(claimed.stamps, store.capture(&[&tag], LIFE).await.unwrap());
    let expected: Vec<bool> = (0..keys.len()).map(|index| index != 0).collect();
    assert_eq!(claimed.won, expected, "all but the one that somebody else has");
    assert_eq!(get(store, &keys[0]).await.as_deref(), Some(theirs.as_bytes()));

    store.invalidate(&[&keys[2]]).await.unwrap();
    let held: Vec<Held<'_>> =
        keys.iter().zip(&leases).map(|(key, lease)| Held { key, expected: lease.as_bytes() }).collect();
    let as_expected = |outcomes: Vec<crate::Result<Guarded>>, applied: &dyn Fn(usize) -> bool| {
        assert_eq!(outcomes.len(), held.len());
        for (index, outcome) in outcomes.into_iter().enumerate() {
            assert_eq!(outcome.unwrap() == Guarded::Applied, applied(index), "{index}");
        }
    };
    let alive = |index: usize| index != 0 && index != 2;
    as_expected(store.extend_many(&held, LIFE * 2).await, &alive);
    let value = [b"V".to_vec(), vec![b'x'; 9_000]].concat();
    let fills: Vec<Replacement<'_>> = held
        .iter()
        .map(|it| Replacement { slot: it.key, expected: it.expected, value: &value, life: LIFE })
        .collect();
    as_expected(store.replace_many(&fills).await, &alive);
    assert_eq!(get(store, &keys[599]).await.as_deref(), Some(&value[..]));
    assert_eq!(get(store, &keys[2]).await, None, "an invalidation voids the fill of its own key");
    as_expected(store.release_many(&held).await, &|_| false);
    let (lease, _) = claim(store, &keys[2], None, &[]).await;
    let released = store.release_many(&[Held { key: &keys[2], expected: lease.as_bytes() }]).await;
    assert!(matches!(released[..], [Ok(Guarded::Applied)]));
    assert_eq!(get(store, &keys[2]).await, None);
}

async fn a_hold_keeps_everything_out(store: &impl Store) {
    let slot = entry("hold");
    let (lease, _) = claim(store, &slot, None, &[]).await;
    let (first, second) = (new_hold(), new_hold());
    assert_eq!(store.hold(&[&slot], &first, LIFE).await.unwrap(), [Overlap::First]);
    assert_eq!(store.replace(&slot, lease.as_bytes(), b"V", LIFE).await.unwrap(), Guarded::Refused);
    assert_eq!(store.put(&slot, b"V", LIFE).await.unwrap(), Guarded::Refused);
    assert_eq!(claim(store, &slot, None, &[]).await.1, Claim::Lost);
    store.invalidate(&[&slot]).await.unwrap();
    assert_eq!(Slot::of(get(store, &slot).await.as_deref()), Slot::Hold, "an invalidation leaves a hold");
    // A shorter hold on top does not shorten it, and the first owner can no longer remove it.
    assert_eq!(store.hold(&[&slot], &second, LIFE / 10).await.unwrap(), [Overlap::Overlapping]);
    assert!(store.time_to_live(&slot).await.unwrap().unwrap() > LIFE / 2);
    assert_eq!(store.release(&slot, &first).await.unwrap(), Guarded::Refused);
    assert_eq!(store.release(&slot, &second).await.unwrap(), Guarded::Applied);
}

async fn stamps_are_created_once_and_outlive_their_readers(store: &impl Store) {
    let (a, b) = (space().tag(|writer| writer.path("a")), space().tag(|writer| writer.path("b")));
    let first = store.capture(&[&a, &b], Duration::from_secs(5)).await.unwrap();
    assert_ne!(first[0], first[1]);
    let again = store.capture(&[&a, &b], LIFE).await.unwrap();
    assert_eq!(first, again);
    assert!(store.time_to_live(&a).await.unwrap().unwrap() > LIFE / 2, "pushed forward");
    let _shorter = store.capture(&[&a], Duration::from_secs(1)).await.unwrap();
    assert!(store.time_to_live(&a).await.unwrap().unwrap() > LIFE / 2, "never back");
    store.invalidate(&[&a]).await.unwrap();
    let after = store.capture(&[&a, &b], LIFE).await.unwrap();
    assert_ne!(after[0], first[0]);
    assert_eq!(after[1], first[1]);
    let _first = store.hold(&[&a], &new_hold(), LIFE).await.unwrap();
    assert_eq!(store.capture(&[&a], LIFE).await.unwrap()[0], StampState::Held);
}

async fn a_pattern_takes_what_matches_and_its_stamps(store: &impl Store) {
    let keys: Vec<Key> = ["p:1:a", "p:1:b", "p:2:a", "q:1:a"].into_iter().map(entry).collect();
    for key in &keys {
        assert_eq!(store.put(key, b"V", LIFE).await.unwrap(), Guarded::Applied);
    }
    // The stamp of an entry that is itself gone counts, too: something may have been made from it.
    let gone = stamp_of(&entry("p:1:gone"));
    let _new = store.capture(&[&gone], LIFE).await.unwrap();
    let pattern = Pattern::of("p:1").any().within(&space()).unwrap();
    assert_eq!(store.invalidate_matching(&pattern, &Report::to_nobody()).await.unwrap(), 3);
    let left: Vec<bool> = store
        .read(&keys.iter().collect::<Vec<_>>(), Freshness::Current)
        .await
        .unwrap()
        .values
        .iter()
        .map(Option::is_some)
        .collect();
    assert_eq!(left, [false, false, true, true]);
    assert_eq!(get(store, &gone).await, None);
}

async fn a_pattern_finds_one_among_many(store: &impl Store) {
    let keys: Vec<Key> = (0..2_000).map(|index| entry(&format!("many:{index}:x"))).collect();
    for key in &keys {
        assert_eq!(store.put(key, b"V", LIFE).await.unwrap(), Guarded::Applied);
    }
    let pattern = Pattern::of("many").any().within(&space()).unwrap();
    assert_eq!(store.invalidate_matching(&pattern, &Report::to_nobody()).await.unwrap(), 2_000);
}

async fn entries_expire(store: &impl Store) {
    let key = entry("expires");
    let short = Duration::from_millis(30);
    assert_eq!(store.put(&key, b"V", short).await.unwrap(), Guarded::Applied);
    assert!(store.time_to_live(&key).await.unwrap().unwrap() <= short);
    clock::sleep(short + Duration::from_millis(20)).await;
    assert_eq!(get(store, &key).await, None);
    assert_eq!(store.time_to_live(&key).await.unwrap(), None);
    assert_eq!(store.replace(&key, b"V", b"V2", LIFE).await.unwrap(), Guarded::Refused);
}

async fn a_change_wakes_who_watches(store: &impl Store) {
    let slot = entry("watched");
    let (lease, _) = claim(store, &slot, None, &[]).await;
    let wake = store.wake(&slot);
    for change in [Change::Fill, Change::Invalidate] {
        let changed = wake.changed();
        let _armed = store.read_watched(&[&slot], &wake).await.unwrap();
        match change {
            Change::Fill => drop(store.replace(&slot, lease.as_bytes(), b"V", LIFE).await.unwrap()),
            Change::Invalidate => store.invalidate(&[&slot]).await.unwrap(),
        }
        assert!(clock::within(Duration::from_secs(2), changed).await.is_some(), "nobody was woken");
    }
}

enum Change {
    Fill,
    Invalidate,
}

macro_rules! conformance {
    ($($check:ident),* $(,)?) => {
        /// Runs every check, one after the other, against the store of a `Keylatch` that nobody else uses.
        ///
        /// # Panics
        /// When the store does not conform.
        #[doc(hidden)]
        pub(crate) async fn conforms(keylatch: &crate::Keylatch) {
            $($check(keylatch.store()).await;)*
            // Where nothing can be pushed, as over REST, timers alone wake.
            if keylatch.connection().is_none_or(|connection| connection.is_tracking()) {
                a_change_wakes_who_watches(keylatch.store()).await;
            }
        }

        #[cfg(test)]
        mod on_memory {
            #[tokio::test]
            async fn changes_wake() {
                let keylatch = crate::Keylatch::in_memory();
                super::a_change_wakes_who_watches(keylatch.store()).await;
            }


            $(#[tokio::test]
            async fn $check() {
                super::$check(crate::Keylatch::in_memory().store()).await;
            })*
        }
    };
}

conformance! {
    one_claim_wins,
    a_fill_needs_what_its_loader_saw,
    a_lease_is_extended_and_released_by_its_owner,
    a_slot_slides_while_it_holds_what_was_read,
    many_slots_are_claimed_and_filled_one_by_one,
    a_hold_keeps_everything_out,
    stamps_are_created_once_and_outlive_their_readers,
    a_pattern_takes_what_matches_and_its_stamps,
    a_pattern_finds_one_among_many,
    entries_expire,
}
