//! The settings of the gate.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Checker;
use crate::diagnostic::{Code, Diagnostic};
use crate::policy::{Gate, Overflow};
use crate::source::Span;
use crate::syntax::suggest::closest;
use crate::syntax::tree::{self, Name, Setting};

const SETTINGS: [&str; 3] = ["interval", "limit", "on-overflow"];

/// Units of time, in milliseconds.
const TIMES: &[(&str, u64)] = &[("ms", 1), ("s", 1000)];

/// Units of an amount, in bytes.
const AMOUNTS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Units that are meant when others are written.
const MEANT: &[(&str, &str)] = &[
    ("kB", "KiB"),
    ("KB", "KiB"),
    ("K", "KiB"),
    ("k", "KiB"),
    ("MB", "MiB"),
    ("M", "MiB"),
    ("GB", "GiB"),
    ("G", "GiB"),
    ("b", "B"),
    ("bytes", "B"),
    ("msec", "ms"),
    ("sec", "s"),
];

impl Checker<'_> {
    /// Reads a gate block; what is wrong is reported and left as if not said.
    pub(super) fn gate(&mut self, gate: &tree::Gate) -> Gate {
        let mut settings = Gate::default();
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for setting in &gate.settings {
            let name = setting.name.text.as_str();
            if let Some(&first) = seen.get(name) {
                let message = format!("`{name}` given twice");
                self.twice(Code::DuplicateSetting, message, first, setting.span);
                continue;
            }
            seen.insert(name, setting.name.span);
            if let Err(found) = self.setting(setting, &mut settings) {
                self.sink.push(found);
            }
        }
        settings
    }

    fn setting(&mut self, setting: &Setting, gate: &mut Gate) -> Result<(), Diagnostic> {
        let name = &setting.name;
        match name.text.as_str() {
            "interval" => {
                let millis = quantity(one_value(setting)?, TIMES, "a time such as `40ms`")?;
                gate.interval = Some(Duration::from_millis(millis));
            }
            "limit" => {
                let value = one_value(setting)?;
                let bytes = quantity(value, AMOUNTS, "an amount such as `64MiB`")?;
                // sch_plug keeps its limit in 32 bits (struct tc_plug_qopt).
                if u32::try_from(bytes).is_err() {
                    let message = format!("limit `{}` is too large", value.text);
                    return Err(Diagnostic::new(Code::TooLarge, message, value.span)
                        .label("the kernel keeps the limit in 32 bits: at most 4294967295B"));
                }
                gate.limit = Some(bytes);
            }
            "on-overflow" => {
                let value = one_value(setting)?;
                gate.on_overflow = self.overflow(value)?;
            }
            text => {
                let message = format!("unknown setting `{text}`");
                let found = Diagnostic::new(Code::UnknownSetting, message, name.span);
                return Err(match closest(text, SETTINGS) {
                    Some(meant) => found.fix(format!("write `{meant}`"), name.span, meant),
                    None => found.help("settings are `interval`, `limit` and `on-overflow`"),
                });
            }
        }
        Ok(())
    }

    fn overflow(&mut self, value: &Name) -> Result<Overflow, Diagnostic> {
        match value.text.as_str() {
            "drop" => Ok(Overflow::Drop),
            "release" => {
                self.sink.push(
                    Diagnostic::new(
                        Code::OpensOnOverflow,
                        "a full buffer opens the gate",
                        value.span,
                    )
                    .label("packets of uncommitted epochs leave")
                    .help("with `drop`, what does not fit is lost and counted, and the gate stays closed"),
                );
                Ok(Overflow::Release)
            }
            text => {
                let message = format!("expected `drop` or `release`, found `{text}`");
                let found = Diagnostic::new(Code::BadSetting, message, value.span);
                Err(match closest(text, ["drop", "release"]) {
                    Some(meant) => found.fix(format!("write `{meant}`"), value.span, meant),
                    None => found,
                })
            }
        }
    }
}

/// The only value of a setting.
fn one_value(setting: &Setting) -> Result<&Name, Diagnostic> {
    let name = &setting.name.text;
    match setting.values.as_slice() {
        [value] => Ok(value),
        [] => {
            let message = format!("`{name}` has no value");
            Err(Diagnostic::new(Code::BadSetting, message, setting.span))
        }
        [first, rest @ ..] => {
            let message = format!("`{name}` takes one value");
            let span = rest
                .last()
                .map_or(first.span, |last| first.span.to(last.span));
            let found = Diagnostic::new(Code::BadSetting, message, span);
            let joined = format!(
                "{}{}",
                first.text,
                rest.iter().map(|v| v.text.as_str()).collect::<String>()
            );
            Err(match rest {
                [unit] if unit.text.chars().all(char::is_alphabetic) => found
                    .label("no space between number and unit")
                    .fix(format!("write `{joined}`"), span, joined),
                _ => found,
            })
        }
    }
}

/// A whole number above zero with a unit, in the smallest unit.
fn quantity(value: &Name, units: &[(&str, u64)], what: &str) -> Result<u64, Diagnostic> {
    let text = value.text.as_str();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let found = |message: String| Diagnostic::new(Code::BadUnit, message, value.span);
    let expected = || found(format!("expected {what}, found `{text}`"));
    if number.is_empty() {
        return Err(expected());
    }
    let names: Vec<_> = units.iter().map(|(name, _)| format!("`{name}`")).collect();
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let found = expected().label(format!("units are {}", names.join(", ")));
        let meant = MEANT
            .iter()
            .find(|(written, _)| *written == unit)
            .map(|(_, meant)| *meant);
        let meant = meant.filter(|meant| units.iter().any(|(name, _)| name == meant));
        return Err(match meant {
            Some(meant) => {
                let mended = format!("{number}{meant}");
                found.fix(format!("write `{mended}`"), value.span, mended)
            }
            None => found,
        });
    };
    match number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
    {
        Some(0) => Err(found(format!("`{text}` is zero")).label("must be above zero")),
        Some(amount) => Ok(amount),
        None => Err(found(format!("`{text}` is too large"))),
    }
}
