//! The faults of a configuration, collected into one error.

use std::fmt;

use super::names::{Origins, Setting};
use crate::error::{Error, ErrorKind};

/// Faults found so far. None quotes a value: it may be a secret that was put into the wrong place.
#[derive(Debug)]
pub(in crate::instance) struct Faults {
    origins: Origins,
    found: Vec<(&'static str, String)>,
    unreadable: Vec<&'static str>,
}

impl Faults {
    pub(in crate::instance) fn new(origins: Origins) -> Self {
        Self { origins, found: Vec::new(), unreadable: Vec::new() }
    }

    /// A value that makes no sense.
    pub(in crate::instance) fn value(&mut self, setting: &'static Setting, fault: impl fmt::Display) {
        let text = format!("{fault}; write for example `{}`", setting.example);
        self.found.push((self.name(setting), text));
        self.unreadable.push(setting.field);
    }

    /// A value that is good but not in this build, or for another reason without a good example.
    pub(super) fn note(&mut self, setting: &'static Setting, fault: impl fmt::Display) {
        self.found.push((self.name(setting), fault.to_string()));
        self.unreadable.push(setting.field);
    }

    /// A contradiction with, or the lack of, `other`; `says` tells what is wrong and what to do, given the other's name.
    /// Says nothing where one of them was unreadable: that fault comes first, and may be the cause.
    pub(super) fn clash(
        &mut self,
        setting: &'static Setting,
        other: &'static Setting,
        says: impl FnOnce(&str) -> String,
    ) {
        if !self.is_unreadable(setting) && !self.is_unreadable(other) {
            let text = says(self.name(other));
            self.found.push((self.name(setting), text));
        }
    }

    /// The usual contradiction: both are set, and only one may be.
    pub(super) fn both(&mut self, setting: &'static Setting, other: &'static Setting) {
        self.clash(setting, other, |other| {
            format!("contradicts `{other}`, which is set too; remove one of them")
        });
    }

    /// `setting` means nothing without `other`.
    pub(super) fn lacks(&mut self, setting: &'static Setting, other: &'static Setting) {
        let example = other.example;
        self.clash(setting, other, |other| {
            format!("needs `{other}`, which is not set; set it, for example to `{example}`")
        });
    }

    pub(super) fn is_unreadable(&self, setting: &Setting) -> bool {
        self.unreadable.contains(&setting.field)
    }

    pub(super) fn name(&self, setting: &'static Setting) -> &'static str {
        self.origins.name(setting)
    }

    /// The error if there is any fault.
    pub(in crate::instance) fn error(&self) -> Option<Error> {
        let error = Error::new(ErrorKind::Configuration, "configure");
        let with = |error: Error, (name, text): &(&'static str, String)| error.with(name, text);
        (!self.found.is_empty()).then(|| self.found.iter().fold(error, with))
    }
}
