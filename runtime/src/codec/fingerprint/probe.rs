//! The probing deserializer: it notes what a type asks for, and answers with dummy values.

use serde::de::{Deserializer, Visitor};

use super::access::{Elements, Entry, Fields, Positions, Variant};
use super::notes::Halt;
use super::tree::{KINDS, Tree};

/// Deserializes what is at one node of the tree.
pub(super) struct Probe<'t> {
    pub(super) tree: &'t mut Tree,
    pub(super) node: usize,
}

/// Strings to try in turn: many types that are read from a string accept one of them.
const STRINGS: [&str; 14] = [
    "",
    "0",
    "1970-01-01T00:00:00Z",
    "00000000-0000-0000-0000-000000000000",
    "127.0.0.1",
    "1970-01-01",
    "00:00:00",
    "1970-01-01T00:00:00",
    "a",
    "127.0.0.1:80",
    "::1",
    "http://localhost/",
    "a@localhost.localdomain",
    "true",
];

/// Lengths of byte strings and sequences to try in turn, such as those of a UUID and of a hash.
const BYTES: [&[u8]; 6] = [&[], &[0; 16], &[0; 32], &[0; 4], &[0; 8], &[0; 12]];
const LENGTHS: [usize; 6] = [1, 0, 2, 3, 4, 16];

impl Probe<'_> {
    /// Notes the kind, and says which dummy value to answer with.
    fn attempt(&mut self, kind: &'static str) -> usize {
        self.tree.fact(self.node, kind);
        self.tree.attempt
    }

    fn string(&mut self) -> &'static str {
        let attempt = self.attempt("string");
        STRINGS[attempt % STRINGS.len()]
    }

    fn bytes(&mut self) -> &'static [u8] {
        let attempt = self.attempt("bytes");
        BYTES[attempt % BYTES.len()]
    }

    /// A name in the place of a key or a tag: each of those that errors have told of, in turn.
    fn tag(&mut self) -> &'static str {
        let node = self.tree.node_mut(self.node);
        if node.tags.is_empty() {
            return "";
        }
        node.presented += 1;
        node.tags[(node.presented - 1) % node.tags.len()]
    }

    /// The variant of an enum to take.
    fn choose(&self, named: usize, children: &[usize]) -> usize {
        if self.tree.is_lean() {
            return self.tree.leaf(named);
        }
        // First what was never taken, so that every variant is seen before any is seen in depth.
        let rank = |&(_, &child): &(usize, &usize)| {
            let node = self.tree.node(child);
            (node.visits > 0, node.settled, node.failed, node.visits)
        };
        children.iter().enumerate().min_by_key(rank).map_or(0, |(index, _)| index)
    }
}

// A zero is refused by the `NonZero` types, and a one by few.
macro_rules! numbers {
    ($($method:ident => $visit:ident($kind:literal, $one:literal, $zero:literal);)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
            let attempt = self.attempt($kind);
            visitor.$visit(if attempt % 2 == 0 { $one } else { $zero })
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Halt;

    numbers! {
        deserialize_bool => visit_bool("bool", true, false);
        deserialize_i8 => visit_i8("i8", 1, 0);
        deserialize_i16 => visit_i16("i16", 1, 0);
        deserialize_i32 => visit_i32("i32", 1, 0);
        deserialize_i64 => visit_i64("i64", 1, 0);
        deserialize_i128 => visit_i128("i128", 1, 0);
        deserialize_u8 => visit_u8("u8", 1, 0);
        deserialize_u16 => visit_u16("u16", 1, 0);
        deserialize_u32 => visit_u32("u32", 1, 0);
        deserialize_u64 => visit_u64("u64", 1, 0);
        deserialize_u128 => visit_u128("u128", 1, 0);
        deserialize_f32 => visit_f32("f32", 1.0, 0.0);
        deserialize_f64 => visit_f64("f64", 1.0, 0.0);
        deserialize_char => visit_char("char", 'a', '0');
    }

    // What serde buffers ends up here. It is offered one kind of value after another, and once errors have told of
    // fields, a map with these.
    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        self.attempt("any");
        let id = self.node;
        let rounds = self.tree.rounds(id);
        let node = self.tree.node_mut(id);
        node.suspect = Some("");
        let visits = node.visits;
        let kind = match node.dud.take() {
            Some(kind) => kind,
            None if !node.tags.is_empty() => return visitor.visit_borrowed_str(self.tag()),
            None if !node.fields.is_empty() => return visitor.visit_map(Fields::open(self.tree, id)),
            // The guess may be wrong, so the other kinds have their turn as well.
            None => node.liked.filter(|_| visits % 4 < 3).unwrap_or(visits / rounds),
        };
        match kind % KINDS {
            0 => visitor.visit_unit(),
            1 => visitor.visit_seq(Elements { tree: self.tree, node: id, left: 0 }),
            2 => visitor.visit_map(Fields::new(self.tree, id, &[])),
            3 => visitor.visit_u64(1),
            5 => visitor.visit_bool(true),
            _ => visitor.visit_borrowed_str(STRINGS[(visits / KINDS) % STRINGS.len()]),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        self.attempt("ignored");
        visitor.visit_unit()
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        visitor.visit_borrowed_str(self.string())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        visitor.visit_borrowed_bytes(self.bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        self.attempt("identifier");
        visitor.visit_borrowed_str(self.tag())
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        self.attempt("option");
        if self.tree.skips(self.node) {
            return visitor.visit_none();
        }
        let Self { tree, node } = self;
        let child = tree.child(node, "?");
        tree.within(child, |tree| visitor.visit_some(Probe { tree, node: child }))
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        self.attempt("unit");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V>(self, name: &'static str, visitor: V) -> Result<V::Value, Halt>
    where
        V: Visitor<'de>,
    {
        self.tree.fact(self.node, format!("unit struct {name}"));
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V>(self, name: &'static str, visitor: V) -> Result<V::Value, Halt>
    where
        V: Visitor<'de>,
    {
        let Self { tree, node } = self;
        tree.fact(node, format!("newtype struct {name}"));
        let child = tree.child(node, ".0");
        tree.within(child, |tree| visitor.visit_newtype_struct(Probe { tree, node: child }))
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        let attempt = self.attempt("sequence");
        let left = if self.tree.skips(self.node) { 0 } else { LENGTHS[attempt % LENGTHS.len()] };
        visitor.visit_seq(Elements { tree: self.tree, node: self.node, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Halt> {
        self.tree.fact(self.node, format!("tuple {len}"));
        visitor.visit_seq(Positions { tree: self.tree, node: self.node, next: 0, len })
    }

    fn deserialize_tuple_struct<V>(self, name: &'static str, len: usize, visitor: V) -> Result<V::Value, Halt>
    where
        V: Visitor<'de>,
    {
        let Self { tree, node } = self;
        tree.fact(node, format!("tuple struct {name} {len}"));
        tree.named(name, &[], |tree, _| visitor.visit_seq(Positions { tree, node, next: 0, len }))
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        self.attempt("map");
        let node = self.tree.node_mut(self.node);
        // Only a struct with a flattened field misses fields in a map.
        if !node.fields.is_empty() {
            node.suspect = Some("");
            return visitor.visit_map(Fields::open(self.tree, self.node));
        }
        let done = self.tree.skips(self.node);
        visitor.visit_map(Entry { tree: self.tree, node: self.node, done })
    }

    fn deserialize_struct<V>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt>
    where
        V: Visitor<'de>,
    {
        let Self { tree, node } = self;
        tree.fact(node, format!("struct {name}"));
        if tree.form.positional {
            tree.fact(node, format!("order {fields:?}"));
        }
        tree.named(name, fields, |tree, _| visitor.visit_map(Fields::new(tree, node, fields)))
    }

    fn deserialize_enum<V>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt>
    where
        V: Visitor<'de>,
    {
        let Self { tree, node } = self;
        tree.fact(node, format!("enum {name}"));
        if tree.form.positional {
            tree.fact(node, format!("order {variants:?}"));
        }
        tree.node_mut(node).variants = variants.len();
        let children: Vec<_> = variants.iter().map(|&variant| tree.child(node, variant)).collect();
        tree.named(name, variants, |tree, named| {
            let chosen = Probe { tree: &mut *tree, node }.choose(named, &children);
            let &child = children.get(chosen).ok_or(Halt)?;
            let visits = tree.visits(named);
            let result =
                visitor.visit_enum(Variant { tree: &mut *tree, node: child, name: variants[chosen] });
            if result.is_ok() && tree.visits(named) == visits {
                tree.found_leaf(named, chosen);
            }
            result
        })
    }

    fn is_human_readable(&self) -> bool {
        self.tree.form.human_readable
    }
}
