//! Which changes of a type change its fingerprint, and which types the probing has to survive.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use super::{Form, of};

const NAMED: Form = Form { codec: "test", positional: false, human_readable: false };
const POSITIONAL: Form = Form { positional: true, ..NAMED };
const READABLE: Form = Form { human_readable: true, ..NAMED };

/// Defines types in modules of their own, so that variations can share one name, and gives their fingerprints.
macro_rules! shapes {
    ($form:expr; $({ $($body:tt)* })*) => {
        [$({
            mod shape {
                #![expect(dead_code, reason = "only the shape matters")]
                use super::*;
                $($body)*
                pub(super) type Shape = T;
            }
            of::<shape::Shape>($form)
        }),*]
    };
}

fn assert_all_differ(prints: &[u64]) {
    for (at, print) in prints.iter().enumerate() {
        assert!(!prints[..at].contains(print), "shape {at} is not told apart: {prints:x?}");
    }
}

#[test]
fn changes_of_a_struct_are_seen() {
    let [base, same, rest @ ..] = &shapes! { NAMED;
        { #[derive(Deserialize)] pub(super) struct T { a: u32, b: String } }
        { #[derive(Deserialize)] pub(super) struct T { a: u32, #[serde(skip)] c: u8, b: String } }
        { #[derive(Deserialize)] pub(super) struct T { a: u32, b: String, c: u8 } }
        { #[derive(Deserialize)] pub(super) struct T { a: u32 } }
        { #[derive(Deserialize)] pub(super) struct T { a: u32, c: String } }
        { #[derive(Deserialize)] pub(super) struct T { a: i32, b: String } }
        { #[derive(Deserialize)] pub(super) struct T { a: u64, b: String } }
        { #[derive(Deserialize)] pub(super) struct T { a: u32, b: Option<String> } }
        { #[derive(Deserialize)] pub(super) struct T { a: u32, b: Vec<String> } }
        { #[derive(Deserialize)] pub(super) struct T { a: u32, #[serde(rename = "z")] b: String } }
        { #[derive(Deserialize)] #[serde(rename_all = "UPPERCASE")] pub(super) struct T { a: u32, b: String } }
        { #[derive(Deserialize)] pub(super) struct Other { a: u32, b: String } pub(super) type T = Other; }
        { #[derive(Deserialize)] pub(super) struct T(u32, String); }
    };
    assert_eq!(base, same, "a skipped field is not stored");
    let mut all = vec![*base];
    all.extend(rest);
    assert_all_differ(&all);
}

#[test]
fn changes_of_an_enum_are_seen() {
    assert_all_differ(&shapes! { NAMED;
        { #[derive(Deserialize)] pub(super) enum T { A, B(u32), C { x: u8 } } }
        { #[derive(Deserialize)] pub(super) enum T { A, Z(u32), C { x: u8 } } }
        { #[derive(Deserialize)] pub(super) enum T { A, B(i32), C { x: u8 } } }
        { #[derive(Deserialize)] pub(super) enum T { A, B(u32, u32), C { x: u8 } } }
        { #[derive(Deserialize)] pub(super) enum T { A, B(u32), C { y: u8 } } }
        { #[derive(Deserialize)] pub(super) enum T { A, B(u32), C { x: u16 } } }
        { #[derive(Deserialize)] pub(super) enum T { A, B(u32), C(u8) } }
        { #[derive(Deserialize)] pub(super) enum T { A(()), B(u32), C { x: u8 } } }
        { #[derive(Deserialize)] pub(super) enum T { A, B(u32), C { x: u8 }, D } }
        { #[derive(Deserialize)] pub(super) enum T { A, B(u32) } }
    });
}

#[test]
fn changes_of_containers_and_deep_inside_are_seen() {
    assert_all_differ(&[
        of::<HashMap<String, u32>>(NAMED),
        of::<HashMap<String, u64>>(NAMED),
        of::<HashMap<u32, u32>>(NAMED),
        of::<Vec<u32>>(NAMED),
        of::<Option<u32>>(NAMED),
        of::<Option<Option<u32>>>(NAMED),
        of::<u32>(NAMED),
        of::<(u32,)>(NAMED),
        of::<(u32, u8)>(NAMED),
        of::<[u32; 3]>(NAMED),
        of::<String>(NAMED),
        of::<char>(NAMED),
        of::<()>(NAMED),
        of::<Result<u32, String>>(NAMED),
        of::<Result<u32, u8>>(NAMED),
        of::<std::num::NonZeroU8>(NAMED),
    ]);
    assert_eq!(of::<HashMap<String, u32>>(NAMED), of::<BTreeMap<Box<str>, Rc<u32>>>(NAMED));
    assert_all_differ(&shapes! { NAMED;
        { #[derive(Deserialize)] struct In { x: Vec<Option<u32>> } #[derive(Deserialize)] pub(super) struct T { a: Vec<In> } }
        { #[derive(Deserialize)] struct In { x: Vec<Option<i32>> } #[derive(Deserialize)] pub(super) struct T { a: Vec<In> } }
        { #[derive(Deserialize)] struct In { y: Vec<Option<u32>> } #[derive(Deserialize)] pub(super) struct T { a: Vec<In> } }
        { #[derive(Deserialize)] struct In(u32); #[derive(Deserialize)] pub(super) struct T { a: Vec<In> } }
        { #[derive(Deserialize)] struct In(i32); #[derive(Deserialize)] pub(super) struct T { a: Vec<In> } }
    });
}

#[test]
fn order_counts_for_positional_codecs_alone() {
    let both = |form| {
        shapes! { form;
            { #[derive(Deserialize)] pub(super) struct T { a: u32, b: u32 } }
            { #[derive(Deserialize)] pub(super) struct T { b: u32, a: u32 } }
            { #[derive(Deserialize)] pub(super) enum T { A, B { x: u8, y: u8 } } }
            { #[derive(Deserialize)] pub(super) enum T { B { x: u8, y: u8 }, A } }
            { #[derive(Deserialize)] pub(super) enum T { A, B { y: u8, x: u8 } } }
        }
    };
    let [ab, ba, first, second, third] = both(NAMED);
    assert_eq!((ab, first, first), (ba, second, third));
    assert_all_differ(&both(POSITIONAL));
    assert_ne!(of::<u8>(NAMED), of::<u8>(POSITIONAL));
    assert_ne!(of::<u8>(NAMED), of::<u8>(Form { codec: "other", ..NAMED }));
}

#[test]
fn recursive_types_end_and_are_told_apart() {
    assert_all_differ(&shapes! { NAMED;
        { #[derive(Deserialize)] pub(super) struct T { value: u32, next: Option<Box<Self>> } }
        { #[derive(Deserialize)] pub(super) struct T { value: u64, next: Option<Box<Self>> } }
        { #[derive(Deserialize)] pub(super) struct T { value: u32, next: Vec<Self> } }
        { #[derive(Deserialize)] pub(super) struct T { value: u32, next: HashMap<String, Self> } }
        { #[derive(Deserialize)] pub(super) struct T(Box<Self>); }
        { #[derive(Deserialize)] pub(super) struct T { next: Box<Self> } }
        { #[derive(Deserialize)] pub(super) enum T { Add(Box<Self>, Box<Self>), Neg(Box<Self>), Call { args: Vec<Self> }, Num(i64) } }
        { #[derive(Deserialize)] pub(super) enum T { Add(Box<Self>, Box<Self>), Neg(Box<Self>), Call { args: Vec<Self> }, Num(i32) } }
        { #[derive(Deserialize)] pub(super) enum T { Add(Box<Self>, Box<Self>), Neg(Box<Self>), Call { argv: Vec<Self> }, Num(i64) } }
    });
}

/// Reads a string in a format that no dummy input has.
struct Picky;

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "picky" => Ok(Self),
            _ => Err(de::Error::custom("not picky")),
        }
    }
}

/// Reads a UUID the way the `uuid` crate does: from text or from 16 bytes.
struct Id;

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Id;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a UUID")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                if text.len() == 36 { Ok(Id) } else { Err(E::custom("not a UUID")) }
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Id, E> {
                if bytes.len() == 16 { Ok(Id) } else { Err(E::custom("not a UUID")) }
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Visitor)
        } else {
            deserializer.deserialize_bytes(Visitor)
        }
    }
}

#[test]
fn a_field_that_refuses_dummy_input_hides_no_other() {
    assert_all_differ(&shapes! { NAMED;
        { #[derive(Deserialize)] pub(super) struct T { a: Picky, b: Picky, c: u32, d: Picky } }
        { #[derive(Deserialize)] pub(super) struct T { a: Picky, b: u8, c: u32, d: Picky } }
        { #[derive(Deserialize)] pub(super) struct T { a: Picky, b: Picky, c: i32, d: Picky } }
        { #[derive(Deserialize)] pub(super) struct T { a: Picky, b: Picky, c: u32, d: Vec<Picky> } }
        { #[derive(Deserialize)] pub(super) struct T { a: Picky, b: Picky, c: u32, d: Vec<Option<Picky>> } }
    });
    for form in [NAMED, READABLE] {
        // Behind an element of a tuple nothing can be seen until a dummy value is accepted.
        assert_ne!(of::<(Id, u32)>(form), of::<(Id, i32)>(form));
        assert_ne!(of::<(std::num::NonZeroU8, u32)>(form), of::<(std::num::NonZeroU8, i32)>(form));
        assert_ne!(of::<(std::net::IpAddr, u32)>(form), of::<(std::net::IpAddr, i32)>(form));
    }
    assert_ne!(of::<Id>(NAMED), of::<Id>(READABLE));
}

#[test]
fn types_that_serde_buffers_are_told_apart_by_their_names() {
    assert_all_differ(&shapes! { NAMED;
        { #[derive(Deserialize)] struct In { x: u8 } #[derive(Deserialize)] pub(super) struct T { a: u32, #[serde(flatten)] i: In } }
        { #[derive(Deserialize)] struct In { y: u8 } #[derive(Deserialize)] pub(super) struct T { a: u32, #[serde(flatten)] i: In } }
        { #[derive(Deserialize)] struct In { x: i8 } #[derive(Deserialize)] pub(super) struct T { a: u32, #[serde(flatten)] i: In } }
        { #[derive(Deserialize)] struct In { x: u8 } #[derive(Deserialize)] pub(super) struct T { a: u64, #[serde(flatten)] i: In } }
        { #[derive(Deserialize)] struct In { x: u8 } #[derive(Deserialize)] pub(super) struct T { b: u32, #[serde(flatten)] i: In } }
        { #[derive(Deserialize)] pub(super) struct T { b: u32, #[serde(flatten)] more: HashMap<String, u32> } }
        { #[derive(Deserialize)] struct In { x: u8, y: u8, z: u8 } #[derive(Deserialize)] pub(super) struct T { a: u32, #[serde(flatten)] i: In } }
        { #[derive(Deserialize)] struct In { x: u8, y: u8, z: u16 } #[derive(Deserialize)] pub(super) struct T { a: u32, #[serde(flatten)] i: In } }
    });
    assert_all_differ(&shapes! { NAMED;
        { #[derive(Deserialize)] #[serde(tag = "t")] pub(super) enum T { A { x: u8 }, B { y: u32 }, C } }
        { #[derive(Deserialize)] #[serde(tag = "t")] pub(super) enum T { A { x: u8 }, B { z: u32 }, C } }
        { #[derive(Deserialize)] #[serde(tag = "t")] pub(super) enum T { A { x: u8 }, B { y: i32 }, C } }
        { #[derive(Deserialize)] #[serde(tag = "t")] pub(super) enum T { A { x: u8 }, B { y: u32 }, D } }
        { #[derive(Deserialize)] #[serde(tag = "k")] pub(super) enum T { A { x: u8 }, B { y: u32 }, C } }
        { #[derive(Deserialize)] #[serde(tag = "t", content = "c")] pub(super) enum T { A { x: u8 }, B { y: u32 }, C } }
        { #[derive(Deserialize)] #[serde(tag = "t", content = "c")] pub(super) enum T { A { x: u8 }, B { z: u32 }, C } }
        { #[derive(Deserialize)] #[serde(untagged)] pub(super) enum T { A { x: u8 }, B { y: u32 } } }
        { #[derive(Deserialize)] #[serde(untagged)] pub(super) enum T { A { x: u8 }, B { z: u32 } } }
        { #[derive(Deserialize)] #[serde(untagged)] pub(super) enum T { A { x: u8 }, B(Vec<u8>) } }
        { #[derive(Deserialize)] #[serde(untagged)] pub(super) enum T { N, A { x: u8 }, B { y: u32 } } }
        { #[derive(Deserialize)] #[serde(untagged)] pub(super) enum T { N, A { x: u8 }, B { y: u64 } } }
        { #[derive(Deserialize)] #[serde(tag = "t")] pub(super) enum T { A { x: u8, y: u8 }, B { x: u32, y: String, z: u8 } } }
        { #[derive(Deserialize)] #[serde(tag = "t")] pub(super) enum T { A { x: u8, y: u8 }, B { x: u32, y: String, z: u16 } } }
        { #[derive(Deserialize)] #[serde(tag = "t")] pub(super) enum T { A { x: u8, y: i8 }, B { x: u32, y: String, z: u8 } } }
    });
}

#[test]
fn a_deserialize_that_panics_is_survived() {
    struct Bomb;
    impl<'de> Deserialize<'de> for Bomb {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            panic!("the first letter of {text:?} is missing");
        }
    }
    assert_eq!(of::<(u8, Bomb)>(NAMED), of::<(u8, Bomb)>(NAMED));
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    #[serde(rename = "customer_name")]
    customer: String,
    lines: Vec<(u32, f64)>,
    state: State,
    parent: Option<Box<Self>>,
    labels: BTreeMap<String, bool>,
}

#[derive(Serialize, Deserialize)]
enum State {
    Open,
    Paid { at: u64 },
    Sent(String),
}

#[test]
fn fingerprints_are_pinned() {
    assert_eq!(of::<Order>(NAMED), 0xd22c_1069_9b67_d6d7, "{:#018x}", of::<Order>(NAMED));
    assert_eq!(of::<Order>(POSITIONAL), 0x6849_7f0c_f4c4_3bc9, "{:#018x}", of::<Order>(POSITIONAL));
}
