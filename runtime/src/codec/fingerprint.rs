//! The fingerprint of a type's shape, taken by driving its `Deserialize` with a deserializer that takes notes.
//!
//! A tree grows with one node per place in the value: a field, a variant, the elements of a sequence. Each node
//! keeps facts: the kinds asked for there, names, lengths. The type is deserialized from dummy input again and again,
//! each time with other choices, until every variant was taken and every field seen. Then the tree is hashed. Facts
//! are never taken back, so an input that a type refuses costs what lies behind it in that pass and no more.
//!
//! Not seen are: elements of a tuple behind one that refuses every dummy input; optional members where serde buffers
//! (inside of `untagged`, internally tagged and flattened types, and beside a `flatten`), of which not even an error
//! tells; and meaning, such as seconds becoming milliseconds. `version = n` is there for these.

mod access;
mod notes;
mod probe;
mod tree;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;

use self::tree::{ROOT, Tree};

/// What a codec tells about itself, as far as it matters to the shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The name of the codec, and if its bytes ever change, a version. Another name is another fingerprint.
    pub codec: &'static str,
    /// Whether fields and variants are told apart by their order, which then is part of the fingerprint.
    pub positional: bool,
    /// What the codec's serializer and deserializer answer to `is_human_readable`.
    pub human_readable: bool,
}

/// Computes the fingerprint of the shape of `T` in the given form.
///
/// It is the same in every process and on every machine, and changes when a field or variant is added, removed,
/// renamed or given another type, at any depth. What counts are the names after serde's renames. It never panics,
/// whatever the `Deserialize` of the type does, unless panics abort.
///
/// ```
/// use keylatch::codec::fingerprint::{Form, of};
///
/// const FORM: Form = Form { codec: "example", positional: false, human_readable: true };
///
/// assert_eq!(of::<Vec<u32>>(FORM), of::<Vec<u32>>(FORM));
/// assert_ne!(of::<Vec<u32>>(FORM), of::<Vec<i32>>(FORM));
/// ```
#[must_use]
pub fn of<T: DeserializeOwned>(form: Form) -> u64 {
    const MAX_PASSES: usize = 256;
    let mut tree = Tree::new(form);
    for _ in 0..MAX_PASSES {
        // A type may panic at input it believes impossible. What was noted until then is kept, and another pass would
        // only get there again.
        let pass = catch_unwind(AssertUnwindSafe(|| {
            // Whether dummy input makes a value is of no interest.
            drop(tree.root(std::marker::PhantomData::<T>));
        }));
        if pass.is_err() || tree.is_done() {
            break;
        }
    }
    notes::take();
    let mut hasher = blake3::Hasher::new();
    // The first word is the version of this algorithm.
    text(&mut hasher, "keylatch shape 1");
    text(&mut hasher, form.codec);
    hasher.update(&[u8::from(form.positional), u8::from(form.human_readable)]);
    hash(&tree, ROOT, &mut hasher);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Hashes a node with everything below it, in an order that does not depend on the order of the visits.
fn hash(tree: &Tree, node: usize, hasher: &mut blake3::Hasher) {
    let node = tree.node(node);
    number(hasher, node.facts.len());
    for fact in &node.facts {
        text(hasher, fact);
    }
    number(hasher, node.children.len());
    for (label, &child) in &node.children {
        text(hasher, label);
        hash(tree, child, hasher);
    }
}

// Lengths come first, so that no two trees are the same bytes.
fn text(hasher: &mut blake3::Hasher, text: &str) {
    number(hasher, text.len());
    hasher.update(text.as_bytes());
}

fn number(hasher: &mut blake3::Hasher, number: usize) {
    // Not the bytes of a `usize`, whose number differs between machines.
    hasher.update(&(number as u64).to_le_bytes());
}

#[cfg(test)]
mod tests;
