//! `epochgate trace`: what a policy does with every flow of a capture.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use policy_lang::policy::{Policy, Verdict};
use policy_lang::source::SourceFile;
use policy_lang::{Headers, Table};
use serde::Serialize;

use super::finding;
use crate::capture::crew::{self, ReadThrough};
use crate::capture::{Frame, Stream};
use crate::cli::{Console, PolicyFile, Source, is_standard, name, read_long};
use crate::exit::{self, Exit, Failure};
use crate::flow::{self, FlowKey, FlowTable, Seen, Totals};
use crate::render::{Report, visible};

/// Show what a policy does with the flows of a capture.
///
/// Reads pcap and pcapng with Ethernet frames. Packets of other link types are left out and
/// counted. A frame that the capture has cut is judged by what is there.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// The capture; `-` is standard input.
    capture: PathBuf,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How to write the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One line per flow, for people.
    Table,
    /// One JSON object.
    Json,
}

/// Reads the capture and prints what becomes of each flow.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    if is_standard(&args.policy) && is_standard(&args.capture) {
        return Err(Failure::usage(
            "only one of policy and capture can come from standard input",
        ));
    }
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    let trace = read_long(&args.capture, console, |capture| Trace::of(policy, capture))?;
    console.raw(&match args.format {
        Format::Table => table(policy, &file.source, &trace),
        Format::Json => json(policy, &file.source, &trace),
    })?;
    match trace.read.error {
        None => Ok(Exit::Fine),
        Some(error) => {
            let name = name(&args.capture);
            console.report(None, &Report::error(format!("`{name}`: {error}")))?;
            Ok(Exit::Findings)
        }
    }
}

/// What was found in a capture.
struct Trace {
    flows: Vec<flow::Flow>,
    totals: Totals,
    read: ReadThrough,
}

impl Trace {
    /// Judges all frames of a capture up to where it is damaged.
    fn of(policy: &Policy, capture: Source) -> io::Result<Self> {
        let table = Table::new(policy);
        let mut workers = vec![FlowTable::default(); crew::size()];
        let read = crew::look_through(Stream::new(capture), &mut workers, |flows, piece| {
            for frame in piece.frames() {
                judge(&table, flows, frame);
            }
            ControlFlow::Continue(())
        })?;
        let flows = FlowTable::join(workers);
        Ok(Self {
            totals: flows.iter().collect(),
            flows,
            read,
        })
    }
}

fn judge(table: &Table<'_>, flows: &mut FlowTable, frame: Frame<'_>) {
    let seen = Seen {
        number: frame.number,
        wire_len: frame.original_len,
        cut: frame.is_cut(),
    };
    let (key, decision) = match Headers::of(frame.bytes) {
        Some(headers) => (FlowKey::with(&headers), table.decide(&headers)),
        None => (FlowKey::of(frame.bytes), table.classify(frame.bytes)),
    };
    flows.add(key, seen, decision);
}

/// What became of a flow as a whole.
fn verdict(totals: &Totals) -> &'static str {
    match (totals.bypassed(), totals.buffered) {
        (_, 0) => Verdict::Bypass.keyword(),
        (0, _) => Verdict::Buffer.keyword(),
        _ => "both",
    }
}

/// The rules that decided about frames, numbered from 1; `-` for the default.
fn rules(totals: &Totals) -> String {
    let numbers: Vec<String> = totals
        .decided_by
        .keys()
        .map(|rule| rule.map_or_else(|| String::from("-"), |index| (index + 1).to_string()))
        .collect();
    numbers.join(",")
}

fn table(policy: &Policy, source: &SourceFile, trace: &Trace) -> String {
    let totals = &trace.totals;
    let mut lines = vec![format!(
        "{:>9}  {:>12}  {:<7}  {:<5}  flow",
        "packets", "bytes", "verdict", "rule"
    )];
    for flow::Flow {
        key,
        totals: of_flow,
        ..
    } in &trace.flows
    {
        let (verdict, rules) = (verdict(of_flow), rules(of_flow));
        let (packets, bytes) = (of_flow.packets, of_flow.bytes);
        lines.push(format!(
            "{packets:>9}  {bytes:>12}  {verdict:<7}  {rules:<5}  {key}"
        ));
    }
    lines.push(String::new());
    let amounts = [
        ("total", totals.packets, totals.bytes),
        (
            "bypass",
            totals.bypassed(),
            totals.bytes.saturating_sub(totals.buffered_bytes),
        ),
        ("buffer", totals.buffered, totals.buffered_bytes),
    ];
    for (what, packets, bytes) in amounts {
        lines.push(format!("{packets:>9}  {bytes:>12}  {what}"));
    }
    lines.push(String::new());
    for (rule, packets) in &totals.decided_by {
        lines.push(format!(
            "{packets:>9}  {}",
            decided_by(policy, source, *rule)
        ));
    }
    if totals.cut > 0 {
        lines.push(format!(
            "{:>9}  cut by the capture, judged by what is there",
            totals.cut
        ));
    }
    for (link_type, packets) in &trace.read.left_out {
        lines.push(format!(
            "{packets:>9}  left out: link type {link_type}, not Ethernet"
        ));
    }
    lines.iter().map(|line| visible(line) + "\n").collect()
}

/// A rule with its number, text and place, or the default.
fn decided_by(policy: &Policy, source: &SourceFile, rule: Option<usize>) -> String {
    match rule.and_then(|index| policy.rules.get(index).map(|rule| (index, rule))) {
        Some((index, rule)) => {
            format!("rule {}, {}", index + 1, finding::brief(source, rule.span))
        }
        None => format!("no rule, default {}", policy.default.keyword()),
    }
}

#[derive(Serialize)]
struct Whole {
    flows: Vec<Flow>,
    totals: Amounts,
    left_out: Vec<LeftOut>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Flow {
    flow: String,
    verdict: &'static str,
    #[serde(flatten)]
    amounts: Amounts,
}

#[derive(Serialize)]
struct Amounts {
    packets: u64,
    bytes: u64,
    bypassed_packets: u64,
    bypassed_bytes: u64,
    buffered_packets: u64,
    buffered_bytes: u64,
    cut_packets: u64,
    decided_by: Vec<Decided>,
}

/// Frames that one rule decided; `rule` counts from 1 and is null for the default.
#[derive(Serialize)]
struct Decided {
    rule: Option<usize>,
    line: Option<usize>,
    packets: u64,
}

#[derive(Serialize)]
struct LeftOut {
    link_type: u16,
    packets: u64,
}

fn json(policy: &Policy, source: &SourceFile, trace: &Trace) -> String {
    let line = |index: usize| {
        policy
            .rules
            .get(index)
            .map(|r| source.place(r.span.start).line)
    };
    let amounts = |totals: &Totals| Amounts {
        packets: totals.packets,
        bytes: totals.bytes,
        bypassed_packets: totals.bypassed(),
        bypassed_bytes: totals.bytes.saturating_sub(totals.buffered_bytes),
        buffered_packets: totals.buffered,
        buffered_bytes: totals.buffered_bytes,
        cut_packets: totals.cut,
        decided_by: totals
            .decided_by
            .iter()
            .map(|(rule, packets)| Decided {
                rule: rule.map(|index| index + 1),
                line: rule.and_then(line),
                packets: *packets,
            })
            .collect(),
    };
    let flows = trace.flows.iter().map(|flow| Flow {
        flow: flow.key.to_string(),
        verdict: verdict(&flow.totals),
        amounts: amounts(&flow.totals),
    });
    let left_out = trace.read.left_out.iter();
    let whole = Whole {
        flows: flows.collect(),
        totals: amounts(&trace.totals),
        left_out: left_out
            .map(|(&link_type, &packets)| LeftOut { link_type, packets })
            .collect(),
        error: trace.read.error.map(|error| error.to_string()),
    };
    // Strings and numbers always become JSON.
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}
