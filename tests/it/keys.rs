//! Promise 4: two calls share an entry only if their key arguments are equal; and no argument widens a pattern.

use std::collections::BTreeMap;

use keylatch::{Key, KeyPart, Keylatch, Pattern};
use proptest::prelude::*;

#[expect(clippy::option_option, reason = "nested absence is one of the things that could confuse a key")]
/// Arguments of one shape, with everything that could confuse a key.
#[derive(Debug, Clone, PartialEq, Eq, KeyPart)]
struct Arguments {
    text: String,
    maybe: Option<Option<String>>,
    list: Vec<String>,
    pair: (i32, Option<Vec<u8>>),
    choice: Choice,
    map: BTreeMap<String, bool>,
    character: char,
}

#[derive(Debug, Clone, PartialEq, Eq, KeyPart)]
enum Choice {
    None,
    Named(String),
    Both { left: String, right: String },
}

/// Text made of what keys are made of: separators, escapes, brackets, wildcards.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a:%!(),*#{}~ ]{0,4}",
        prop::sample::select(vec![
            "", "!", "!!", "%21", ":", "a:b", "()", "(,)", ",", "*", "\u{0}", "é", "None"
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ]
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::None),
        text().prop_map(Choice::Named),
        (text(), text()).prop_map(|(left, right)| Choice::Both { left, right }),
    ]
}

fn arguments() -> impl Strategy<Value = Arguments> {
    (
        text(),
        prop::option::of(prop::option::of(text())),
        prop::collection::vec(text(), 0..3),
        (-2..2_i32, prop::option::of(prop::collection::vec(0..3_u8, 0..3))),
        choice(),
        prop::collection::btree_map(text(), any::<bool>(), 0..3),
        prop::sample::select(vec!['a', ':', '%', '!']),
    )
        .prop_map(|(text, maybe, list, pair, choice, map, character)| Arguments {
            text,
            maybe,
            list,
            pair,
            choice,
            map,
            character,
        })
}

/// As a template would: parts with a reserved character between them.
fn key(first: &Arguments, second: &str) -> String {
    Key::of("entry").part(first).part(second).to_string()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn distinct_arguments_have_distinct_keys(a in arguments(), b in arguments(), x in text(), y in text()) {
        prop_assert_eq!((&a, &x) == (&b, &y), key(&a, &x) == key(&b, &y));
        // Neighbours in kind: a change of one field alone.
        let c = Arguments { text: b.text.clone(), ..a.clone() };
        prop_assert_eq!(a == c, key(&a, &x) == key(&c, &x));
        let c = Arguments { maybe: b.maybe.clone(), ..a.clone() };
        prop_assert_eq!(a == c, key(&a, &x) == key(&c, &x));
        let c = Arguments { list: b.list.clone(), ..a.clone() };
        prop_assert_eq!(a == c, key(&a, &x) == key(&c, &x));
        let c = Arguments { choice: b.choice.clone(), ..a.clone() };
        prop_assert_eq!(a == c, key(&a, &x) == key(&c, &x));
    }

    #[test]
    fn a_key_is_printable_and_has_no_wildcard(a in arguments(), x in text()) {
        let key = key(&a, &x);
        prop_assert!(key.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?[]\\#{}".contains(&byte)), "{}", key);
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn an_argument_never_widens_a_pattern(argument in text(), other in text()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let cache = Keylatch::in_memory();
            let entry = |part: &str| cache.entry(Key::of("p").part(part).part("x"));
            entry(&argument).put(1_u8).await.unwrap();
            entry(&other).put(2_u8).await.unwrap();
            cache.invalidate_matching(&Pattern::of("p").part(&argument).any()).await.unwrap();
            prop_assert_eq!(entry(&argument).get::<u8>().await.unwrap(), None);
            let left = entry(&other).get::<u8>().await.unwrap();
            prop_assert_eq!(left.is_some(), argument != other);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn long_keys_keep_their_head_and_never_meet() {
    let cache = Keylatch::in_memory();
    let entry = |text: &str| cache.entry(Key::of("long").part("shop").part(text));
    let (a, b) = ("x".repeat(5_000) + "a", "x".repeat(5_000) + "b");
    entry(&a).put(1_u8).await.unwrap();
    assert_eq!(entry(&b).get::<u8>().await.unwrap(), None);
    assert_eq!(entry(&a).get::<u8>().await.unwrap(), Some(1));
    let key = entry(&a).key().to_string();
    assert_eq!(key.len(), Key::MAX_LEN);
    assert!(key.starts_with("keylatch:long:shop:xxx"), "{key}");
    // A pattern reaches what it can see of it.
    cache.invalidate_matching(&Pattern::of("long").part("shop").any()).await.unwrap();
    assert_eq!(entry(&a).get::<u8>().await.unwrap(), None);
}

#[tokio::test]
async fn a_pattern_that_matches_everything_is_refused() {
    let cache = Keylatch::in_memory();
    cache.entry("kept").put(1_u8).await.unwrap();
    let error = cache.invalidate_matching(&Pattern::of("").any()).await.unwrap_err();
    assert_eq!(error.kind(), keylatch::ErrorKind::Pattern);
    assert_eq!(cache.entry("kept").get::<u8>().await.unwrap(), Some(1));
}
