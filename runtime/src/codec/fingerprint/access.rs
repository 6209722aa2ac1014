//! What the probing deserializer hands to visitors: sequences, maps and variants of dummy values.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::notes::Halt;
use super::tree::Tree;

/// Elements of a sequence. They all have the same type and share one node.
pub(super) struct Elements<'t> {
    pub(super) tree: &'t mut Tree,
    pub(super) node: usize,
    pub(super) left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Halt;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Halt> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let child = self.tree.child(self.node, "[]");
        self.tree.visit(child, seed).map(Some)
    }
}

/// Fields of a tuple, each with its own node.
pub(super) struct Positions<'t> {
    pub(super) tree: &'t mut Tree,
    pub(super) node: usize,
    pub(super) next: usize,
    pub(super) len: usize,
}

impl<'de> SeqAccess<'de> for Positions<'_> {
    type Error = Halt;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Halt> {
        if self.next == self.len {
            return Ok(None);
        }
        let child = self.tree.child(self.node, format!(".{}", self.next));
        self.next += 1;
        self.tree.visit(child, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.next)
    }
}

/// Fields with known names: of a struct, or those that errors have told of.
pub(super) struct Fields<'t> {
    tree: &'t mut Tree,
    order: std::vec::IntoIter<(&'static str, usize)>,
    value: Option<usize>,
}

impl<'t> Fields<'t> {
    pub(super) fn new(tree: &'t mut Tree, node: usize, names: &[&'static str]) -> Self {
        let order = tree.order(node, names).into_iter();
        Self { tree, order, value: None }
    }

    /// The fields of which errors have told, at a node that serde buffers.
    pub(super) fn open(tree: &'t mut Tree, node: usize) -> Self {
        let order = tree.suspects(node).into_iter();
        Self { tree, order, value: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Halt;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Halt> {
        let Some((name, child)) = self.order.next() else { return Ok(None) };
        self.value = Some(child);
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Halt> {
        // A visitor that asks for a value before its key is wrong, and must not make this panic.
        let child = self.value.take().ok_or(Halt)?;
        self.tree.visit(child, seed)
    }
}

/// The one entry of a map.
pub(super) struct Entry<'t> {
    pub(super) tree: &'t mut Tree,
    pub(super) node: usize,
    pub(super) done: bool,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Halt;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Halt> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let child = self.tree.child(self.node, "{key}");
        self.tree.visit(child, seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Halt> {
        let child = self.tree.child(self.node, "{value}");
        self.tree.visit(child, seed)
    }
}

/// A chosen variant of an enum, with its own node.
pub(super) struct Variant<'t> {
    pub(super) tree: &'t mut Tree,
    pub(super) node: usize,
    pub(super) name: &'static str,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Halt;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Halt> {
        let value = seed.deserialize(BorrowedStrDeserializer::new(self.name))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Halt;

    fn unit_variant(self) -> Result<(), Halt> {
        self.tree.fact(self.node, "unit");
        self.tree.within(self.node, |_| Ok(()))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Halt> {
        self.tree.fact(self.node, "newtype");
        self.tree.visit(self.node, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Halt> {
        let Self { tree, node, .. } = self;
        tree.fact(node, format!("tuple {len}"));
        tree.within(node, |tree| visitor.visit_seq(Positions { tree, node, next: 0, len }))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        let Self { tree, node, .. } = self;
        tree.fact(node, "struct");
        if tree.form.positional {
            tree.fact(node, format!("order {fields:?}"));
        }
        tree.within(node, |tree| visitor.visit_map(Fields::new(tree, node, fields)))
    }
}
