//! The figures of a run and how they are told: a table for a person, one JSON document for a program. No figure is good or bad
//! here: what was aimed at and what the reference of the same run reached stand beside it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::machine::Machine;
use crate::cli::{self, BenchPart};

/// One figure.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) part: BenchPart,
    /// Stable, for programs: `accept.unary.sending`.
    pub(super) name: String,
    /// For people.
    pub(super) what: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    /// What was aimed at, in the same unit.
    pub(super) aim: Option<f64>,
    /// A reference of the same run, and what part of it this reaches.
    pub(super) reference: Option<(String, f64)>,
    /// In few words, what else belongs to it.
    pub(super) remark: String,
    /// What else belongs to it.
    pub(super) facts: Map<String, Value>,
}

impl Figure {
    /// A figure with nothing beside it.
    pub(super) fn new(
        part: BenchPart,
        name: impl Into<String>,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            part,
            name: name.into(),
            what: what.into(),
            value,
            unit,
            p50: None,
            p99: None,
            aim: None,
            reference: None,
            remark: String::new(),
            facts: Map::new(),
        }
    }

    /// Something that belongs to it.
    pub(super) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    /// Sets it beside a reference of the same run, of which it reaches this part.
    pub(super) fn beside(&mut self, reference: &str, ratio: f64) {
        self.reference = Some((reference.to_owned(), ratio));
    }

    fn json(&self) -> Value {
        let mut figure = json!({
            "part": part_name(self.part),
            "name": self.name,
            "what": self.what,
            "value": round(self.value),
            "unit": self.unit,
            "p50_ms": self.p50.map(milliseconds),
            "p99_ms": self.p99.map(milliseconds),
            "aim": self.aim,
            "reference": self.reference.as_ref().map(|(name, _)| name),
            "ratio": self.reference.as_ref().map(|(_, ratio)| round(*ratio)),
        });
        if let Some(object) = figure.as_object_mut() {
            object.retain(|_, value| !value.is_null());
            object.extend(self.facts.clone());
        }
        figure
    }

    fn row(&self) -> Vec<String> {
        let span = |span: Option<Duration>| {
            span.map_or_else(
                || "-".into(),
                |span| format!("{:.1} ms", milliseconds(span)),
            )
        };
        let aim = self
            .aim
            .map_or_else(|| "-".into(), |aim| amount(aim, self.unit));
        let beside = self.reference.as_ref().map_or_else(
            || "-".into(),
            |(name, ratio)| format!("{ratio:.2} of {name}"),
        );
        vec![
            self.what.clone(),
            amount(self.value, self.unit),
            span(self.p50),
            span(self.p99),
            aim,
            beside,
            self.remark.clone(),
        ]
    }
}

/// All figures of a run, with where and how they came about.
pub(super) struct Report {
    machine: Machine,
    settings: Map<String, Value>,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    /// Without figures.
    pub(super) fn new(machine: Machine, settings: Map<String, Value>) -> Self {
        Self {
            machine,
            settings,
            figures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// One more figure.
    pub(super) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// What the reader should know besides.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Sets the figures whose name begins with `prefix` beside the one called `reference`.
    pub(super) fn compare(&mut self, prefix: &str, reference: &str) {
        let value = self
            .figures
            .iter()
            .find(|figure| figure.name == reference)
            .map(|figure| figure.value);
        let Some(value) = value.filter(|value| *value > 0.0) else {
            return;
        };
        for figure in &mut self.figures {
            if figure.name.starts_with(prefix) {
                figure.beside(reference, figure.value / value);
            }
        }
    }

    /// The figures so far.
    pub(super) fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// Where they came about, in a line.
    pub(super) fn place(&self) -> String {
        self.machine.sentence()
    }

    /// As one document.
    pub(super) fn json(&self) -> Value {
        let figures: Vec<_> = self.figures.iter().map(Figure::json).collect();
        json!({
            "machine": self.machine.json(),
            "settings": self.settings,
            "figures": figures,
            "notes": self.notes,
        })
    }

    /// For a person, on standard output; notes on standard error.
    pub(super) fn tell(&self) {
        cli::line(&self.machine.sentence());
        let rows = self.figures.iter().map(Figure::row);
        cli::listing(
            &["what", "figure", "p50", "p99", "aim", "beside", "besides"],
            rows,
        );
        self.notes.iter().for_each(|note| cli::complain(note));
    }
}

fn part_name(part: BenchPart) -> &'static str {
    match part {
        BenchPart::Accept => "accept",
        BenchPart::Delivery => "delivery",
        BenchPart::Decide => "decide",
        BenchPart::Render => "render",
        BenchPart::Templates => "templates",
        BenchPart::Memory => "memory",
        BenchPart::Stored => "stored",
        BenchPart::All => "all",
    }
}

/// With its unit; whole from a hundred on.
pub(super) fn amount(value: f64, unit: &str) -> String {
    let space = if unit.starts_with('/') { "" } else { " " };
    if value.abs() >= 100.0 {
        format!("{value:.0}{space}{unit}")
    } else {
        format!("{value:.1}{space}{unit}")
    }
}

fn milliseconds(span: Duration) -> f64 {
    round(span.as_secs_f64() * 1000.0)
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
