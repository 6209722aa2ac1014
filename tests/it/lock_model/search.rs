//! Breadth-first search of everything that a model can do, with the shortest way to what must not be.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Something with states, steps between them, and states that must not be.
pub(crate) trait Model {
    type State: Copy + Eq + Hash + Debug;

    fn initial(&self) -> Self::State;

    /// Calls `found` with each state that one step leads to, and the step's name.
    fn steps(&self, from: &Self::State, found: &mut dyn FnMut(&'static str, Self::State));

    /// Which promise this state breaks.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;
}

/// What a search has seen.
#[derive(Debug)]
pub(crate) struct Searched {
    pub(crate) states: usize,
    /// Every state was looked at, not only as many as were allowed.
    pub(crate) whole: bool,
    /// The promise that can be broken, and the shortest way there.
    pub(crate) broken: Option<String>,
}

/// Searches until something is broken, everything was seen, or so many states were.
pub(crate) fn search<M: Model>(model: &M, limit: usize) -> Searched {
    let mut seen = HashSet::<M::State, BuildHasherDefault<Mixer>>::default();
    // Each state, by which step it came, and from which.
    let mut reached = vec![(model.initial(), "start", usize::MAX)];
    seen.insert(model.initial());
    let mut next = 0;
    while next < reached.len() {
        let (state, ..) = reached[next];
        if let Some(promise) = model.broken(&state) {
            let broken = Some(format!("{promise}\n{}", way(&reached, next)));
            return Searched { states: reached.len(), whole: false, broken };
        }
        if reached.len() < limit {
            model.steps(&state, &mut |step, to| {
                if seen.insert(to) {
                    reached.push((to, step, next));
                }
            });
        }
        next += 1;
    }
    Searched { states: reached.len(), whole: reached.len() < limit, broken: None }
}

fn way<S: Debug>(reached: &[(S, &'static str, usize)], to: usize) -> String {
    let mut steps = Vec::new();
    let mut at = to;
    while let Some((state, step, from)) = reached.get(at) {
        steps.push(format!("{step}: {state:?}"));
        at = *from;
    }
    steps.reverse();
    steps.join("\n")
}

/// Multiplies and folds: the default hasher takes most of the time of a search, and nobody attacks this one.
#[derive(Debug, Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
