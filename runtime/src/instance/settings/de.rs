//! How the fields are read from a user's own configuration file. No error quotes a secret.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::{self, Parsed};
use crate::connection::Secret;

/// Text with a unit, or a plain number.
struct Measure<T> {
    expected: &'static str,
    text: fn(&str) -> Parsed<T>,
    number: fn(u64) -> T,
}

impl<T> Visitor<'_> for Measure<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok((self.number)(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let number =
            u64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))?;
        self.visit_u64(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text.trim())
            .map_err(|fault| E::custom(format_args!("{fault}; expected {}", self.expected)))
    }
}

const DURATION: &str = "a time such as \"5s\", \"250ms\" or \"1h 30m\", or a number of milliseconds";
const SIZE: &str = "a size such as \"256mb\", or a number of bytes";

pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_any(Measure { expected: DURATION, text: text::duration, number: Duration::from_millis })
}

pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_any(Measure { expected: SIZE, text: text::size, number: |bytes| bytes })
}

pub(super) fn optional_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<Size>::deserialize(from)?.map(|Size(bytes)| bytes))
}

struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        size(from).map(Self)
    }
}

/// A list, or text with commas, as loaders have it that read the environment.
pub(super) fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    from.deserialize_any(List)
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts, or one text with commas")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text::list(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }
}

pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<Hidden>::deserialize(from)?.map(|Hidden(secret)| secret))
}

/// A [`Secret`] whose errors do not quote what was found instead of text, as serde's own do.
struct Hidden(Secret);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(HiddenText).map(Self)
    }
}

struct HiddenText;

impl HiddenText {
    fn no_text<T, E: Error>() -> Result<T, E> {
        Err(E::custom("a secret must be text; put it in quotes"))
    }
}

impl Visitor<'_> for HiddenText {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Self::no_text()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Self::no_text()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Self::no_text()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Self::no_text()
    }
}
