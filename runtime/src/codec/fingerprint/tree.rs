//! The tree of facts about a type, and the bookkeeping that decides what the next pass tries.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeSeed;

use super::Form;
use super::notes::{self, Halt};
use super::probe::Probe;

/// The node of the value itself.
pub(super) const ROOT: usize = 0;

/// How often in a row a place may refuse dummy input without telling anything new before it is given up.
const GIVE_UP: usize = 16;
/// How many visits of nodes one fingerprint may take, which bounds its time.
const MAX_STEPS: usize = 50_000;
/// How deeply visits may nest, which bounds the stack.
const MAX_DEPTH: usize = 64;
/// How often a named type may be inside itself before the tree stops growing there.
const MAX_NESTING: usize = 2;

/// How many kinds of values an open node tries: unit, sequence, map, number, string and bool.
pub(super) const KINDS: usize = 6;
/// How many visits of an open node without anything new are enough, however many members it has.
const MAX_QUIET: usize = 120;

/// One place in the value.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) facts: BTreeSet<Cow<'static, str>>,
    pub(super) children: BTreeMap<Cow<'static, str>, usize>,
    /// The names of fields that errors have told of.
    pub(super) fields: Vec<&'static str>,
    /// The names of variants that errors have told of.
    pub(super) tags: Vec<&'static str>,
    /// How often one of the tags was presented, each in turn.
    pub(super) presented: usize,
    /// How many variants there are, at an enum.
    pub(super) variants: usize,
    pub(super) visits: usize,
    /// Whether the last visit ended in a refusal.
    pub(super) failed: bool,
    /// Whether there is nothing left to learn at this node and below.
    pub(super) settled: bool,
    parent: usize,
    /// How often input was refused here and not further down; it selects the dummy values.
    refusals: usize,
    /// How many of those refusals, most recently, told nothing new.
    barren: usize,
    child_failed: bool,
    /// How many visits have passed since the last one that told anything new.
    quiet: usize,
    /// The member whose type the current visit wants to know. An open node has one, if only without a name: one whose
    /// content serde buffers, so that only its errors tell the types.
    pub(super) suspect: Option<&'static str>,
    /// The kind of value that the next visit has to answer with, as its node is the suspect.
    pub(super) dud: Option<usize>,
    /// The kind of value that an error has asked for here.
    pub(super) liked: Option<usize>,
}

/// A named type that was seen: an enum or struct, told apart by its name and the names in it.
#[derive(Debug)]
struct Named {
    name: &'static str,
    members: &'static [&'static str],
    /// How many visits of this type are under way.
    open: usize,
    visits: usize,
    /// A variant that does not lead to the type again.
    leaf: Option<usize>,
}

/// The facts about a type, and what is under way in the current pass.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) form: Form,
    nodes: Vec<Node>,
    named: Vec<Named>,
    /// The number of facts, to tell whether a visit brought anything new.
    known: usize,
    steps: usize,
    depth: usize,
    /// The sum of the refusals on the way from the root: which dummy value to try.
    pub(super) attempt: usize,
    /// How many types under way are nested too often. Nothing optional is entered then.
    lean: usize,
}

impl Tree {
    pub(super) fn new(form: Form) -> Self {
        let nodes = vec![Node::default()];
        Self { form, nodes, named: Vec::new(), known: 0, steps: 0, depth: 0, attempt: 0, lean: 0 }
    }

    /// Makes one pass over the type.
    pub(super) fn root<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Halt> {
        notes::take();
        self.visit(ROOT, seed)
    }

    /// Whether another pass would tell nothing new.
    pub(super) fn is_done(&self) -> bool {
        self.nodes[ROOT].settled || self.steps >= MAX_STEPS
    }

    pub(super) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    pub(super) fn node_mut(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node]
    }

    pub(super) const fn is_lean(&self) -> bool {
        self.lean > 0
    }

    /// Whether what is optional at the node should be left out: it would never end, or has refused too often.
    pub(super) fn skips(&self, node: usize) -> bool {
        self.is_lean() || self.nodes[node].children.values().any(|&child| self.hopeless(child))
    }

    /// Records a fact about a node.
    pub(super) fn fact(&mut self, node: usize, fact: impl Into<Cow<'static, str>>) {
        self.known += usize::from(self.nodes[node].facts.insert(fact.into()));
    }

    /// The child of a node with this label, which is made when there is none yet.
    pub(super) fn child(&mut self, parent: usize, label: impl Into<Cow<'static, str>>) -> usize {
        let next = self.nodes.len();
        let child = *self.nodes[parent].children.entry(label.into()).or_insert(next);
        if child == next {
            self.nodes.push(Node { parent, ..Node::default() });
        }
        child
    }

    /// Deserializes what is at a node.
    pub(super) fn visit<'de, S>(&mut self, node: usize, seed: S) -> Result<S::Value, Halt>
    where
        S: DeserializeSeed<'de>,
    {
        self.within(node, |tree| seed.deserialize(Probe { tree, node }))
    }

    /// Runs a visit of a node, and draws the conclusions from how it ended.
    pub(super) fn within<R>(
        &mut self,
        node: usize,
        visit: impl FnOnce(&mut Self) -> Result<R, Halt>,
    ) -> Result<R, Halt> {
        if self.steps >= MAX_STEPS || self.depth >= MAX_DEPTH {
            self.fail(node);
            // Beyond the bounds lies nothing that a further pass could reach.
            self.nodes[node].settled = true;
            return Err(Halt);
        }
        self.steps += 1;
        self.depth += 1;
        let attempt = self.attempt;
        self.attempt += self.nodes[node].refusals;
        let known = self.known;
        self.nodes[node].child_failed = false;
        let result = visit(self);
        self.depth -= 1;
        self.attempt = attempt;
        self.learn(node);
        let fresh = self.known > known;
        if result.is_err() {
            self.fail(node);
        }
        let lean = self.is_lean();
        let enough = (KINDS * self.rounds(node)).min(MAX_QUIET);
        let below = self.nodes[node].children.values().all(|&child| self.nodes[child].settled);
        let node = &mut self.nodes[node];
        node.visits += 1;
        node.failed = result.is_err();
        let refused = node.failed && !node.child_failed;
        if refused {
            node.refusals += 1;
            node.barren = if fresh { 0 } else { node.barren + 1 };
        }
        // A tag has to present every variant it knows; where none was ever asked for, they are of no use.
        let tags_done = node.presented == 0 || node.presented >= node.tags.len();
        node.quiet = if fresh { 0 } else { node.quiet + 1 };
        let given_up = !refused || node.barren >= GIVE_UP;
        let calm = node.suspect.is_none() || node.quiet >= enough;
        node.settled = lean || (below && tags_done && given_up && calm);
        result
    }

    /// Runs a visit of a named type. Its second argument is the number of that type, see [`Tree::leaf`].
    pub(super) fn named<R>(
        &mut self,
        name: &'static str,
        members: &'static [&'static str],
        visit: impl FnOnce(&mut Self, usize) -> Result<R, Halt>,
    ) -> Result<R, Halt> {
        let known = self.named.iter().position(|named| named.name == name && named.members == members);
        let index = known.unwrap_or_else(|| {
            self.named.push(Named { name, members, open: 0, visits: 0, leaf: None });
            self.named.len() - 1
        });
        let named = &mut self.named[index];
        named.visits += 1;
        let deep = usize::from(named.open >= MAX_NESTING);
        named.open += 1;
        self.lean += deep;
        let result = visit(self, index);
        self.lean -= deep;
        self.named[index].open -= 1;
        result
    }

    /// The variant to take where an enum is nested too often: one that ends there, or each in turn to find one.
    pub(super) fn leaf(&self, named: usize) -> usize {
        let Named { members, visits, leaf, .. } = &self.named[named];
        leaf.unwrap_or(visits % members.len().max(1))
    }

    /// The number of visits of a named type.
    pub(super) fn visits(&self, named: usize) -> usize {
        self.named[named].visits
    }

    /// Remembers that a variant of an enum does not lead to the enum again.
    pub(super) fn found_leaf(&mut self, named: usize, variant: usize) {
        self.named[named].leaf.get_or_insert(variant);
    }

    /// The order in which to present members of a node: what has refused its input comes last, so that it hides
    /// nothing, and among those what was tried least.
    pub(super) fn order(&mut self, node: usize, names: &[&'static str]) -> Vec<(&'static str, usize)> {
        let mut order: Vec<_> = names.iter().map(|&name| (name, self.child(node, name))).collect();
        // The sort is stable: what was not refused stays in the order of the names, which a tag and its content need.
        order.sort_by_key(|&(_, child)| {
            let node = &self.nodes[child];
            if node.failed { (true, node.settled, node.visits) } else { (false, false, 0) }
        });
        order
    }

    /// Picks the suspect of an open node, and orders the members so that it comes first.
    ///
    /// serde reads buffered members in the order they came in. So whatever the others hold, the first error is about
    /// the suspect when that holds a value of the wrong kind, and tells its type. Each member is the suspect once
    /// for every kind of value and every variant that a tag can name.
    pub(super) fn suspects(&mut self, node: usize) -> Vec<(&'static str, usize)> {
        let fields = self.nodes[node].fields.clone();
        let mut order = self.order(node, &fields);
        let rounds = self.rounds(node);
        let visits = self.nodes[node].visits;
        if let Some(&suspect) = fields.get((visits % rounds) * fields.len() / rounds) {
            order.sort_by_key(|&(name, _)| name != suspect);
            self.nodes[node].suspect = Some(suspect);
            self.nodes[order[0].1].dud = Some((visits / rounds) % KINDS);
        }
        order
    }

    /// How many visits of an open node it takes to suspect each member once with every variant that its tag can name.
    pub(super) fn rounds(&self, node: usize) -> usize {
        let Node { fields, children, parent, .. } = &self.nodes[node];
        let inside = children.values().map(|&child| self.nodes[child].tags.len());
        // The content of an adjacently tagged enum has its tag beside it, and nothing else.
        let siblings = &self.nodes[*parent].children;
        let beside =
            siblings.values().filter(|_| siblings.len() == 2).map(|&child| self.nodes[child].variants);
        fields.len().max(1) * inside.chain(beside).max().unwrap_or(1).max(1)
    }

    fn fail(&mut self, node: usize) {
        self.nodes[node].failed = true;
        let parent = self.nodes[node].parent;
        if node != ROOT {
            self.nodes[parent].child_failed = true;
        }
    }

    /// Whether a node has refused so often that it is better left out.
    fn hopeless(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.failed && node.settled
    }

    /// Turns what the errors of a visit have told into facts and words of the node.
    fn learn(&mut self, node: usize) {
        let Some(notes) = notes::take() else { return };
        if let Some(suspect) = self.nodes[node].suspect {
            // Elsewhere the calls tell the types, and these texts would only make the fingerprint depend on the
            // wording of some library.
            let child = self.nodes[node].children.get(suspect).copied();
            if let (Some(child), Some(expected)) = (child, notes.expected.first()) {
                let liked = &mut self.nodes[child].liked;
                *liked = liked.or_else(|| liked_kind(expected));
            }
            for expected in notes.expected {
                self.fact(node, format!("{suspect} expects {expected}"));
            }
        }
        for tag in notes.variants.into_iter().flatten() {
            if !self.nodes[node].tags.contains(tag) {
                self.nodes[node].tags.push(tag);
                self.fact(node, format!("tag {tag}"));
            }
        }
        for field in notes.fields {
            if !self.nodes[node].fields.contains(&field) {
                self.nodes[node].fields.push(field);
                self.fact(node, format!("field {field}"));
            }
        }
    }
}

/// Guesses from what a type says it expected which kind of value it would take. A wrong guess costs a pass.
fn liked_kind(expected: &str) -> Option<usize> {
    const WORDS: [(usize, &[&str]); 5] = [
        (4, &["string", "char"]),
        (5, &["boolean"]),
        (1, &["sequence", "tuple", "array"]),
        (2, &["map", "struct"]),
        (3, &["integer", "8", "16", "32", "64", "size"]),
    ];
    WORDS.iter().find(|(_, words)| words.iter().any(|word| expected.contains(word))).map(|&(kind, _)| kind)
}
