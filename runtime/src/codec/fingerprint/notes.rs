//! The error of the probing deserializer, which notes what the constructors of serde errors are told.
//!
//! serde's derive says more about a type in its errors than in its calls: behind `flatten`, `untagged` and internal
//! tags no call carries the names of the fields, but a `missing_field` does. Many of those errors are swallowed on
//! their way (`untagged` tries variant after variant), so the notes go to a thread-local and not into the error.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// What the errors since the last look have told.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Fields that the type missed.
    pub(super) fields: Vec<&'static str>,
    /// Variants that the type would have known.
    pub(super) variants: Vec<&'static [&'static str]>,
    /// What the type expected in place of what it got.
    pub(super) expected: Vec<String>,
}

thread_local! {
    static NOTES: RefCell<Notes> = const {
        RefCell::new(Notes { fields: Vec::new(), variants: Vec::new(), expected: Vec::new() })
    };
}

/// Takes the notes, or `None` when nothing was noted.
pub(super) fn take() -> Option<Notes> {
    let notes = NOTES.try_with(RefCell::take).ok()?;
    let empty = notes.fields.is_empty() && notes.variants.is_empty() && notes.expected.is_empty();
    (!empty).then_some(notes)
}

// A thread that is being torn down has no notes any more, which must not become a panic.
fn note(write: impl FnOnce(&mut Notes)) {
    let _ = NOTES.try_with(|notes| write(&mut notes.borrow_mut()));
}

/// The type refused the dummy input, or a bound was reached.
#[derive(Debug)]
pub(super) struct Halt;

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the dummy input was refused")
    }
}

impl std::error::Error for Halt {}

impl de::Error for Halt {
    // The text may say anything and is not part of the shape.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        note(|notes| notes.expected.push(expected));
        Self
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::invalid_type(Unexpected::Unit, expected)
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        note(|notes| notes.variants.push(expected));
        Self
    }

    fn missing_field(field: &'static str) -> Self {
        note(|notes| notes.fields.push(field));
        Self
    }
}
