//! Keeps what is traced, and what libraries log without `tracing`.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What was told of the targets that begin like this, as `LEVEL target text`.
#[derive(Clone)]
pub(super) struct Collected {
    targets: &'static str,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Collected {
    /// What this crate tells.
    pub(super) fn ours() -> Self {
        Self { targets: "keylatch", lines: Arc::default() }
    }

    /// What anybody tells.
    pub(super) fn anybodys() -> Self {
        Self { targets: "", lines: Arc::default() }
    }

    /// From now on in all threads of this process, which must be this test's alone, and also what comes by `log`.
    pub(super) fn everywhere(self) -> Self {
        tracing::subscriber::set_global_default(self.clone()).expect("nobody else collects here");
        log::set_logger(Box::leak(Box::new(self.clone()))).expect("nobody else logs here");
        log::set_max_level(log::LevelFilter::Trace);
        self
    }

    pub(super) fn all(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The lines of that level with that text.
    pub(super) fn lines(&self, level: Level, text: &str) -> Vec<String> {
        let start = format!("{level} ");
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.starts_with(&start) && line.contains(text)).cloned().collect()
    }

    pub(super) fn at(&self, level: Level, text: &str) -> bool {
        !self.lines(level, text).is_empty()
    }

    /// Whether anything was told of targets that begin like this.
    pub(super) fn has_target(&self, start: &str) -> bool {
        let lines = self.lines.lock().unwrap();
        lines.iter().any(|line| line.split(' ').nth(1).is_some_and(|target| target.starts_with(start)))
    }

    fn push(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Text)) {
        if metadata.target().starts_with(self.targets) {
            let mut text = Text(format!("{} {} {}", metadata.level(), metadata.target(), metadata.name()));
            record(&mut text);
            self.lines.lock().unwrap().push(text.0);
        }
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Collected {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.push(span.metadata(), |text| span.record(text));
        Id::from_u64(1)
    }
    fn record(&self, _span: &Id, values: &Record<'_>) {
        // Whose span it is, is not kept: it counts as anybody's.
        if self.targets.is_empty() {
            let mut text = Text("TRACE later".to_owned());
            values.record(&mut text);
            self.lines.lock().unwrap().push(text.0);
        }
    }
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.push(event.metadata(), |text| event.record(text));
    }
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

impl log::Log for Collected {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with(self.targets) {
            let line = format!("{} {} {}", record.level(), record.target(), record.args());
            self.lines.lock().unwrap().push(line);
        }
    }
    fn flush(&self) {}
}
