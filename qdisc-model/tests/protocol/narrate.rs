//! A behaviour in words, one line for each step.

use std::fmt::Write as _;

use qdisc_model::invariant::Event;
use qdisc_model::packet::Verdict;
use qdisc_model::protocol::driver::Driver;
use qdisc_model::protocol::{Fault, GRATUITOUS_ARP, Setting, Step, World};

/// Goes through the steps again and tells what there was to see.
pub(crate) fn narrate<D: Driver>(start: &World<D>, setting: &Setting, steps: &[Step]) -> String {
    let mut world = start.clone();
    let mut text = String::new();
    for (at, step) in (1..).zip(steps) {
        let seen = world.take(setting, *step);
        let mut parts: Vec<String> = told(&world, *step).into_iter().collect();
        parts.extend(seen.iter().map(event));
        let line = format!("{at:>2}. {:<21}{}", name(*step), parts.join("; "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Send(Verdict::Buffer) => "send",
        Step::Send(Verdict::Bypass) => "send bypass",
        Step::Checkpoint => "checkpoint",
        Step::Deliver => "deliver",
        Step::Acknowledge => "acknowledge",
        Step::Resend => "resend",
        Step::Commit => "commit",
        Step::TakeOver => "take over",
        Step::Announce => "announce",
        Step::GiveUp => "give up",
        Step::Fault(fault) => match fault {
            Fault::CrashPrimary => "crash of the primary",
            Fault::CrashBackup => "crash of the backup",
            Fault::LoseCheckpoint => "checkpoint lost",
            Fault::LoseAcknowledgement => "acknowledgement lost",
            Fault::Flap => "flap",
            Fault::RepeatBegin => "begin repeated",
            Fault::RepeatCommit => "commit repeated",
            Fault::LoseCommit => "commit lost",
            Fault::Restart => "restart",
            Fault::Bark => "watchdog",
        },
    }
}

/// What a step means that shows in no event.
fn told<D: Driver>(after: &World<D>, step: Step) -> Option<String> {
    match step {
        Step::Checkpoint => Some(format!(
            "epoch {} ends and is on its way",
            after.epoch() - 1
        )),
        Step::Acknowledge => Some("the primary hears of it".to_owned()),
        Step::Commit => Some(format!("the gate is told of epoch {}", after.told())),
        Step::Fault(Fault::LoseCommit) => {
            Some(format!("the gate is not told of epoch {}", after.told()))
        }
        _ => None,
    }
}

fn event(event: &Event) -> String {
    match *event {
        Event::Arrived { packet, epoch } if packet.id == GRATUITOUS_ARP => {
            format!("a gratuitous ARP, in epoch {epoch} of the backup")
        }
        Event::Arrived { packet, epoch } => format!("packet {} of epoch {epoch}", packet.id),
        Event::Left { id: GRATUITOUS_ARP } => "it leaves".to_owned(),
        Event::Left { id } => format!("packet {id} leaves"),
        Event::Lost { id } => format!("packet {id} is lost"),
        Event::Committed { epoch } => format!("the backup has epoch {epoch}"),
        Event::Opened => "the gate stands open".to_owned(),
        Event::Closed => "the gate is closed".to_owned(),
        Event::TookOver { from } => format!("the guest goes on from the end of epoch {from}"),
    }
}
