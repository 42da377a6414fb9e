//! `epochgate verify`: are these rules the policy, for every frame?

use std::path::{Path, PathBuf};
use std::time::Duration;

use policy_lang::source::SourceFile;
use policy_lang::{Policy, SpaceFull};
use serde::Serialize;

use super::{finding, kind};
use crate::backend::Kind;
use crate::capture::{Record, write};
use crate::cli::{Artefact, Console, PolicyFile, bytes, is_standard, name, write_all};
use crate::compile::{Request, make_rules, read_back};
use crate::device::Device;
use crate::exit::{self, Exit, Failure};
use crate::frame_text;
use crate::notation::Notation;
use crate::readback::{Outcome, ReadbackError, Step};
use crate::render::{Report, hex, visible};
use crate::smt::{self, Claim as SmtClaim};
use crate::verify::{
    Counterexample, Fate, Proof, Verified, in_space, verify_equivalent, verify_no_leak,
};

/// Prove that rules do what a policy says, for every frame, or show a frame that they treat otherwise.
///
/// Two claims are proved: that nothing leaks (what the policy holds, the rules hold or drop), and
/// that the rules are equal to the policy. Rules come from a file: what `nft -f` or `tc -batch`
/// loads, or what `nft list ruleset`, `nft -j list ruleset` or `tc filter show` prints. Without
/// one, the rules are those that `compile` makes.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// The back end whose rules are verified.
    #[arg(long, value_parser = kind(), default_value_t = Kind::Nft, conflicts_with = "rules")]
    backend: Kind,
    /// Rules of any origin; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Only that nothing leaks: rules may hold or drop more than the policy.
    #[arg(long)]
    no_leak: bool,
    /// The VM's interface, whose ingress the rules work at.
    #[arg(long, value_name = "NAME", value_parser = Device::new, default_value = "vif1.0")]
    vif: Device,
    /// The interface that the rules send held frames to [default: `ifb-` and the vif].
    #[arg(long, value_name = "NAME", value_parser = Device::new)]
    ifb: Option<Device>,
    /// Write the counterexamples to this pcap file.
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the claim as a question in SMT-LIB 2, for a solver of your own; nothing is proved here.
    #[arg(long, conflicts_with_all = ["json", "write"])]
    smt: bool,
}

/// What became of the claims.
struct Answer {
    no_leak: Verified,
    /// `None` if it was not asked for.
    equal: Option<Verified>,
    /// For each counterexample the rules that lead to what they do with it.
    traces: Vec<(Vec<u8>, Vec<Step>)>,
}

impl Answer {
    fn of(
        space: &policy_lang::Space,
        policy: &Policy,
        rules: &Outcome,
        ifb: &Device,
        no_leak: bool,
    ) -> Result<Self, SpaceFull> {
        let equal = (!no_leak).then(|| verify_equivalent(space, policy, rules, ifb));
        Ok(Self {
            no_leak: verify_no_leak(space, policy, rules)?,
            equal: equal.transpose()?,
            traces: Vec::new(),
        })
    }

    /// The same with the rules that the counterexamples go through.
    fn traced(
        mut self,
        trace: impl Fn(&[u8]) -> Result<Vec<Step>, ReadbackError>,
    ) -> Result<Self, ReadbackError> {
        let frames = self.counterexamples();
        let frames: Vec<Vec<u8>> = frames.iter().map(|found| found.frame.clone()).collect();
        for frame in frames {
            let steps = trace(&frame)?;
            self.traces.push((frame, steps));
        }
        Ok(self)
    }

    /// The rules that a counterexample goes through.
    fn trace(&self, found: &Counterexample) -> &[Step] {
        let mut traces = self.traces.iter();
        traces
            .find(|(frame, _)| *frame == found.frame)
            .map_or(&[], |(_, steps)| steps)
    }

    /// The frames that show which claims are false, each once.
    fn counterexamples(&self) -> Vec<&Counterexample> {
        let equal = self.equal.as_ref().and_then(|equal| equal.as_ref().err());
        let mut all: Vec<_> = self.no_leak.as_ref().err().into_iter().collect();
        all.extend(equal.filter(|found| all.iter().all(|known| known.frame != found.frame)));
        all
    }
}

/// Proves the claims.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let standard = |path: &Path| usize::from(is_standard(path));
    if standard(&args.policy) + args.rules.as_deref().map_or(0, standard) > 1 {
        return Err(Failure::usage(
            "only one of policy and rules can come from standard input",
        ));
    }
    let ifb = match &args.ifb {
        Some(ifb) => ifb.clone(),
        None => Device::ifb_for(&args.vif),
    };
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    if args.smt {
        return question(args, policy, &file.source, &ifb, console);
    }
    let (what, answer) = match &args.rules {
        Some(path) => match given(path, args, policy, &ifb)? {
            Ok(read) => read,
            Err(report) => {
                console.report(None, &report)?;
                return Ok(Exit::Findings);
            }
        },
        None => match made(args, policy, &file.source, &ifb) {
            Ok(answer) => (
                format!("the rules of the {} back end", args.backend),
                answer,
            ),
            Err(reports) => {
                for report in reports {
                    console.report(Some(&file.source), &report)?;
                }
                return Ok(Exit::Findings);
            }
        },
    };
    let found = answer.counterexamples();
    if let Some(path) = &args.write {
        write_frames(path, &found)?;
    }
    console.raw(&if args.json {
        json(&file, policy, &what, &answer)
    } else {
        story(&file.source, policy, &what, &answer)
    })?;
    Ok(if found.is_empty() {
        Exit::Fine
    } else {
        Exit::Findings
    })
}

/// Reads rules of any origin; the notation that they are in.
fn text_of(path: &Path) -> Result<Result<(String, Notation), Report>, Failure> {
    let content = bytes(path)?;
    let shown = name(path);
    let Ok(text) = String::from_utf8(content) else {
        let message = format!("`{shown}` is not text");
        return Ok(Err(Report::error(message)));
    };
    Ok(match Notation::of(&text) {
        Ok(notation) => Ok((text, notation)),
        Err(error) => {
            let help = "rules are what `nft -f` or `tc -batch` loads, or what `nft list ruleset` or \
                        `tc filter show` prints";
            let message = format!("`{shown}`: {error}");
            Err(Report::error(message).help(help))
        }
    })
}

/// Rules that say nothing for certain.
fn unread(shown: &str, notation: Notation, error: ReadbackError) -> Report {
    match error {
        ReadbackError::Full(full) => finding::too_complicated(&full),
        error => {
            let message = format!("`{shown}`, read as {notation}, is not understood: {error}");
            let help = "nothing is said about rules that are understood only in part";
            Report::error(message).help(help)
        }
    }
}

/// Prints the claim as a question for a solver.
fn question(
    args: &Args,
    policy: &Policy,
    source: &SourceFile,
    ifb: &Device,
    console: &mut Console,
) -> Result<Exit, Failure> {
    let read = match &args.rules {
        Some(path) => text_of(path)?.map_err(|report| vec![report]),
        None => make_rules(&request(args, policy, source, ifb))
            .map(|rules| (rules, Notation::made_by(args.backend)))
            .map_err(|error| finding::not_compiled(policy, source, &error)),
    };
    let claim = if args.no_leak {
        SmtClaim::NoLeak
    } else {
        SmtClaim::Equal
    };
    let asked = read.and_then(|(rules, notation)| {
        let shown = args.rules.as_deref().map_or_else(String::new, name);
        smt::refuting(claim, policy, &rules, notation, (&args.vif, ifb))
            .map_err(|error| vec![unread(&shown, notation, error)])
    });
    match asked {
        Ok(text) => {
            console.raw(&text)?;
            Ok(Exit::Fine)
        }
        Err(reports) => {
            for report in reports {
                console.report(Some(source), &report)?;
            }
            Ok(Exit::Findings)
        }
    }
}

/// Reads rules of any origin, and proves.
fn given(
    path: &Path,
    args: &Args,
    policy: &Policy,
    ifb: &Device,
) -> Result<Result<(String, Answer), Report>, Failure> {
    let shown = name(path);
    let (text, notation) = match text_of(path)? {
        Ok(read) => read,
        Err(report) => return Ok(Err(report)),
    };
    let answer = in_space(|space| {
        let rules = notation.read(space, &text, &args.vif)?;
        let answer = Answer::of(space, policy, &rules, ifb, args.no_leak)?;
        answer.traced(|frame| notation.trace(space, &text, &args.vif, frame))
    });
    Ok(match answer {
        Ok(answer) => Ok((format!("`{shown}` ({notation})"), answer)),
        Err(error) => Err(unread(&shown, notation, error)),
    })
}

fn request<'a>(
    args: &Args,
    policy: &'a Policy,
    source: &'a SourceFile,
    ifb: &Device,
) -> Request<'a> {
    Request {
        policy,
        name: source.name(),
        text: source.text(),
        backend: args.backend,
        vif: args.vif.clone(),
        ifb: ifb.clone(),
    }
}

/// Makes rules, reads them back, and proves.
fn made(
    args: &Args,
    policy: &Policy,
    source: &SourceFile,
    ifb: &Device,
) -> Result<Answer, Vec<Report>> {
    let answer = make_rules(&request(args, policy, source, ifb)).and_then(|rules| {
        in_space(|space| {
            let text = &rules;
            let rules = read_back(args.backend, space, text, &args.vif)?;
            let answer = Answer::of(space, policy, &rules, ifb, args.no_leak)?;
            let notation = Notation::made_by(args.backend);
            Ok(answer.traced(|frame| notation.trace(space, text, &args.vif, frame))?)
        })
    });
    answer.map_err(|error| finding::not_compiled(policy, source, &error))
}

fn write_frames(path: &Path, found: &[&Counterexample]) -> Result<(), Failure> {
    let records: Vec<Record> = (1..)
        .zip(found)
        .map(|(number, found)| Record {
            number,
            time: Duration::ZERO,
            frame: found.frame.clone(),
            original_len: u32::try_from(found.frame.len()).unwrap_or(u32::MAX),
        })
        .collect();
    write_all(&[Artefact {
        path: path.to_owned(),
        content: &write::pcap(&records),
        executable: false,
    }])
}

/// The claims, each with its proof or its frame.
fn story(source: &SourceFile, policy: &Policy, what: &str, answer: &Answer) -> String {
    let mut lines = vec![format!("{}: {what}", source.name())];
    let mut claim = |name: &str, meaning: &str, verified: &Verified| match verified {
        Ok(Proof { nodes }) => {
            lines.push(format!(
                "  {name}: proved for every frame, {meaning} ({nodes} nodes)"
            ));
        }
        Err(found) => {
            lines.push(format!("  {name}: not true"));
            lines.extend(trace(source, policy, found, answer.trace(found)));
        }
    };
    claim(
        "no leak",
        "what the policy holds, the rules hold or drop",
        &answer.no_leak,
    );
    if let Some(equal) = &answer.equal {
        claim("equal", "the rules do what the policy says", equal);
    }
    lines.iter().map(|line| visible(line) + "\n").collect()
}

/// What either side does with a frame.
fn trace(
    source: &SourceFile,
    policy: &Policy,
    found: &Counterexample,
    steps: &[Step],
) -> Vec<String> {
    let verdict = found.policy.verdict.keyword();
    vec![
        format!("    frame   {}", frame_text::describe(&found.frame)),
        format!("    hex     {}", hex(&found.frame)),
        format!(
            "    policy  {verdict}: {}",
            finding::decided_by(policy, source, found.policy)
        ),
        format!(
            "    rules   {}: {}",
            finding::fate(&found.rules),
            decided_by_rules(steps)
        ),
    ]
}

/// Which rule decided, and which ones led there.
fn decided_by_rules(steps: &[Step]) -> String {
    let Some((last, before)) = steps.split_last() else {
        return String::from("no rule decides");
    };
    let decides = match last.line {
        Some(line) => format!("line {line}, `{}`", last.text),
        None => last.text.clone(),
    };
    let before: Vec<String> = before
        .iter()
        .map(|step| match step.line {
            Some(line) => format!("line {line}"),
            None => step.text.clone(),
        })
        .collect();
    if before.is_empty() {
        decides
    } else {
        format!("{decides}, by way of {}", before.join(", "))
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    schema: &'static str,
    policy: &'a str,
    rules: &'a str,
    no_leak: Claim,
    equal: Option<Claim>,
}

#[derive(Serialize)]
struct Claim {
    proved: bool,
    counterexample: Option<Shown>,
}

#[derive(Serialize)]
struct Shown {
    hex: String,
    text: String,
    policy: &'static str,
    decided_by: String,
    rules: &'static str,
    device: Option<String>,
    rules_decided_by: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    line: Option<usize>,
    text: String,
}

fn json(file: &PolicyFile, policy: &Policy, what: &str, answer: &Answer) -> String {
    let claim = |verified: &Verified| Claim {
        proved: verified.is_ok(),
        counterexample: verified.as_ref().err().map(|found| Shown {
            hex: hex(&found.frame),
            text: frame_text::describe(&found.frame),
            policy: found.policy.verdict.keyword(),
            decided_by: finding::decided_by(policy, &file.source, found.policy),
            rules: match found.rules {
                Fate::Bypass => "bypass",
                Fate::Held(_) => "held",
                Fate::Dropped => "dropped",
                Fate::Unsure => "unsure",
            },
            device: match &found.rules {
                Fate::Held(device) => Some(device.clone()),
                _ => None,
            },
            rules_decided_by: answer
                .trace(found)
                .iter()
                .map(|step| Place {
                    line: step.line,
                    text: step.text.clone(),
                })
                .collect(),
        }),
    };
    let whole = Whole {
        schema: "epochgate-verify-1",
        policy: file.source.name(),
        rules: what,
        no_leak: claim(&answer.no_leak),
        equal: answer.equal.as_ref().map(claim),
    };
    // Strings and booleans always become JSON.
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}
