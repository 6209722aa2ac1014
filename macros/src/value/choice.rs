//! One of a fixed set of words, bare or in quotes.

use proc_macro2::Ident;

use crate::arguments::{FromValue, Value};
use crate::diagnostics::{Diagnostics, did_you_mean, list};

/// A type whose values are the words of an option.
pub(crate) trait Choice: Copy + 'static {
    /// Every word with what it stands for.
    const WORDS: &'static [(&'static str, Self)];
}

impl<C: Choice> FromValue for C {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let word = value.word();
        let chosen = word.as_deref().and_then(|word| C::WORDS.iter().find(|(known, _)| *known == word));
        if chosen.is_none() {
            let known = || C::WORDS.iter().map(|(word, _)| *word);
            let remedy = word
                .and_then(|word| did_you_mean(&word, known()))
                .map_or_else(String::new, |similar| format!("; did you mean `{similar}`?"));
            diagnostics.error_on(value, format!("`{name}` is one of {}{remedy}", list(known())));
        }
        chosen.map(|(_, choice)| *choice)
    }
}

/// `on` or `off`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    On,
    Off,
}

impl Choice for Switch {
    const WORDS: &'static [(&'static str, Self)] = &[("on", Self::On), ("off", Self::Off)];
}

/// A value, or the word `off`.
pub(crate) enum OrOff<T> {
    Off,
    Value(T),
}

impl<T: FromValue> FromValue for OrOff<T> {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        if value.word().is_some_and(|word| word == "off") {
            return Some(Self::Off);
        }
        T::from_value(name, value, diagnostics).map(Self::Value)
    }
}
