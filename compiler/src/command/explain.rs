//! `epochgate explain`: the verdict on a frame, what decided it, and what nearly did.

mod json;

use std::path::PathBuf;

use policy_lang::source::SourceFile;
use policy_lang::{Policy, SpaceFull};

use super::finding::{self, decided_by, quote};
use crate::capture::Capture;
use crate::cli::{Console, PolicyFile, bytes, is_standard, name};
use crate::exit::{self, Exit, Failure};
use crate::explain::explain;
use crate::explain::why::{Edit, FrameChange, PolicyChange, policy_changes, smallest_change};
use crate::frame_text;
use crate::render::{Report, visible};
use crate::verify::in_space;

/// Say what a policy does with a frame, and why.
///
/// A frame is described in words, such as `udp 10.0.0.2:17000 > 192.0.2.9:40000 len 172`, or given
/// as hexadecimal bytes from the destination address on. Quote it, or the shell takes `>` for
/// itself. Several quoted frames may follow each other.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// Frames as words or hexadecimal bytes; the words of a single one need no quotes but for `>`.
    #[arg(
        value_name = "FRAME",
        required_unless_present = "pcap",
        conflicts_with = "pcap"
    )]
    frames: Vec<String>,
    /// Explain the frames of this pcap or pcapng file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Only the frame with this number, counted from 1.
    #[arg(long, value_name = "N", requires = "pcap", conflicts_with = "frames", value_parser = clap::value_parser!(u64).range(1..))]
    frame: Option<u64>,
    /// Tell what it takes for the other verdict: the smallest change of the frame, and changes of the
    /// policy with what else they do.
    #[arg(long)]
    why: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Explains each frame.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    if let Some(pcap) = &args.pcap
        && is_standard(pcap)
        && is_standard(&args.policy)
    {
        return Err(Failure::usage(
            "only one of policy and capture can come from standard input",
        ));
    }
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    match &args.pcap {
        Some(pcap) => {
            let content = bytes(pcap)?;
            if args.json {
                return json::captured(args, &content, &name(pcap), policy, &file.source, console);
            }
            captured(args, &content, &name(pcap), policy, &file.source, console)
        }
        None => {
            let frames = frames(&args.frames)?;
            if args.json {
                return json::described(args, &frames, policy, &file.source, console);
            }
            for (at, frame) in frames.iter().enumerate() {
                let gap = if at > 0 { "\n" } else { "" };
                console.raw(&format!("{gap}{}", story(policy, &file.source, frame)))?;
                if args.why && !tell_why(policy, &file.source, frame, console)? {
                    return Ok(Exit::Findings);
                }
            }
            Ok(Exit::Fine)
        }
    }
}

/// The frames that the arguments describe: one each, or all of them together a single one.
fn frames(arguments: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let each: Result<Vec<_>, _> = arguments
        .iter()
        .map(|text| frame_text::parse(text))
        .collect();
    let error = match each {
        Ok(frames) => return Ok(frames),
        Err(error) => error,
    };
    let single_words = arguments.len() > 1 && !arguments.iter().any(|text| text.contains(' '));
    let result = if single_words {
        frame_text::parse(&arguments.join(" ")).map(|frame| vec![frame])
    } else {
        Err(error)
    };
    result.map_err(|error| Failure::Usage {
        message: error.message,
        help: Some(error.help),
    })
}

/// Explains the frames of a capture.
fn captured(
    args: &Args,
    content: &[u8],
    name: &str,
    policy: &Policy,
    source: &SourceFile,
    console: &mut Console,
) -> Result<Exit, Failure> {
    let damaged = |error| Report::error(format!("`{name}`: {error}"));
    let mut capture = match Capture::open(content) {
        Ok(capture) => capture,
        Err(error) => {
            console.report(None, &damaged(error))?;
            return Ok(Exit::Findings);
        }
    };
    let mut exit = Exit::Fine;
    let mut shown = 0_u64;
    for record in capture.by_ref() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                console.report(None, &damaged(error))?;
                exit = Exit::Findings;
                break;
            }
        };
        if args.frame.is_some_and(|wanted| wanted != record.number) {
            continue;
        }
        let gap = if shown > 0 { "\n" } else { "" };
        shown += 1;
        let cut = if record.is_cut() {
            format!(
                " (cut to {} of {} bytes)",
                record.frame.len(),
                record.original_len
            )
        } else {
            String::new()
        };
        let story = story(policy, source, &record.frame);
        console.raw(&format!("{gap}frame {}{cut}\n{story}", record.number))?;
        if args.why && !tell_why(policy, source, &record.frame, console)? {
            return Ok(Exit::Findings);
        }
        if args.frame.is_some() {
            return Ok(Exit::Fine);
        }
    }
    left_out(&capture, name, console)?;
    if let Some(wanted) = args.frame
        && exit == Exit::Fine
    {
        return Err(no_such_frame(name, wanted));
    }
    Ok(exit)
}

/// Warns of packets that are no Ethernet frames.
fn left_out(capture: &Capture<'_>, name: &str, console: &mut Console) -> Result<(), Failure> {
    for (link_type, packets) in capture.left_out() {
        let message = format!("`{name}`: {packets} packets of link type {link_type} left out");
        console.report(None, &Report::warning(message))?;
    }
    Ok(())
}

fn no_such_frame(name: &str, wanted: u64) -> Failure {
    Failure::usage(format!(
        "`{name}` has no Ethernet frame with number {wanted}"
    ))
}

/// What it takes for the other verdict: in the frame, and in the policy.
type Flips = (Option<FrameChange>, Vec<PolicyChange>);

fn flips(policy: &Policy, frame: &[u8]) -> Result<Flips, SpaceFull> {
    in_space(|space| {
        let frame_change = smallest_change(space, policy, frame)?;
        Ok::<_, SpaceFull>((frame_change, policy_changes(space, policy, frame)?))
    })
}

/// What happens to a frame, on a few lines.
fn story(policy: &Policy, source: &SourceFile, frame: &[u8]) -> String {
    let explanation = explain(policy, frame);
    let decision = explanation.decision;
    let mut lines = vec![
        frame_text::describe(frame),
        format!("  verdict  {}", decision.verdict.keyword()),
        format!("  because  {}", decided_by(policy, source, decision)),
    ];
    if let Some(near) = explanation.near
        && let Some(rule) = policy.rules.get(near.rule)
    {
        lines.push(format!(
            "  nearly   rule {}, {}",
            near.rule + 1,
            quote(source, rule.span)
        ));
        lines.extend(
            near.failed
                .into_iter()
                .map(|term| format!("           {}", term.why)),
        );
    }
    lines.iter().map(|line| visible(line) + "\n").collect()
}

/// Tells what it takes for the other verdict; false if the policy is too complicated to say.
fn tell_why(
    policy: &Policy,
    source: &SourceFile,
    frame: &[u8],
    console: &mut Console,
) -> Result<bool, Failure> {
    let (of_frame, of_policy) = match flips(policy, frame) {
        Ok(found) => found,
        Err(full) => {
            console.report(Some(source), &finding::too_complicated(&full))?;
            return Ok(false);
        }
    };
    let mut lines = with_frame(policy, source, of_frame.as_ref());
    for change in &of_policy {
        lines.extend(with_policy(policy, source, change));
    }
    let text: String = lines.iter().map(|line| visible(line) + "\n").collect();
    console.raw(&text)?;
    Ok(true)
}

/// The smallest change of the frame.
fn with_frame(policy: &Policy, source: &SourceFile, change: Option<&FrameChange>) -> Vec<String> {
    let Some(change) = change else {
        return vec![String::from(
            "  flips    with no change of up to three parts of the frame",
        )];
    };
    let parts: Vec<String> = change
        .changed
        .iter()
        .map(|part| format!("{} {} -> {}", part.what, part.from, part.to))
        .collect();
    vec![
        format!("  flips    with {}", parts.join(" and ")),
        format!("           {}", frame_text::describe(&change.frame)),
        format!("           {}", decided_by(policy, source, change.decision)),
    ]
}

/// A change of the policy, and what else it does.
fn with_policy(policy: &Policy, source: &SourceFile, change: &PolicyChange) -> Vec<String> {
    let rule = |at: usize| {
        let span = policy
            .rules
            .get(at)
            .map(|rule| rule.span)
            .unwrap_or_default();
        format!("rule {}, {}", at + 1, quote(source, span))
    };
    let edit = match &change.edit {
        Edit::Remove(rules) => {
            let rules: Vec<String> = rules.iter().map(|at| rule(*at)).collect();
            format!("without {}", rules.join(" and "))
        }
        Edit::Move {
            rule: moved,
            before,
        } => {
            format!("with {} in front of rule {}", rule(*moved), before + 1)
        }
        Edit::Add(text) => format!("with `{text}` in front"),
    };
    let besides = match &change.besides {
        Some(frame) => format!("and so do others, such as {}", frame_text::describe(frame)),
        None => String::from("and no other flow does"),
    };
    vec![
        format!("  flips    {edit}"),
        format!("           {besides}"),
    ]
}
