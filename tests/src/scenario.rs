//! Scenarios: what happens to frames when somebody drives the gate in a certain order, as data.
//! One set is played on the reference model and on each kernel, so all of them agree on what the
//! gate does, odd sides included.

pub mod kernel;
pub mod model;
pub mod set;

use qdisc_model::command::Verb;

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it shows, as the name of a test.
    pub name: &'static str,
    /// What happens, in order.
    pub steps: &'static [Step],
}

/// One thing that happens, or that must be seen.
///
/// Frames are written as letters: `a` to `z` are TCP, `A` to `Z` voice (UDP to port 16384), `0` to
/// `9` signalling (UDP to port 5060). Each has [`FRAME_BYTES`] bytes and is told from all others.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Rules for this policy are put on the vif, which redirect to the IFB what is to be held.
    Rules(&'static str),
    /// `tc qdisc VERB dev IFB root plug WORDS`, which is accepted.
    Tc(Verb, &'static str),
    /// The same, and it is refused.
    Refused(Verb, &'static str),
    /// Another kind of qdisc is put at the root of the IFB.
    Foreign,
    /// The root qdisc of the IFB is deleted.
    Delete,
    /// The IFB's link changes.
    Ifb(Link),
    /// The vif goes away, as when the VM ends.
    VifGone,
    /// The VM sends these frames.
    Send(&'static str),
    /// The VM sends that many TCP frames of that many bytes.
    Burst(u32, usize),
    /// Exactly these frames have come out since the last look, in this order.
    Out(&'static str),
    /// The gate holds so many packets.
    Held(u64),
    /// The gate has counted so many drops.
    Drops(u64),
    /// The redirecting rules have counted so many frames that they could not hand over.
    Lost(u64),
    /// The deploy script for this policy is run with `apply`.
    Deploy(&'static str),
    /// The deploy script that is in place is run with `swap` to that for this policy.
    Swap(&'static str),
    /// The deploy script that is in place is run with `remove`.
    Remove,
}

/// What can happen to the IFB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// `ip link set down`.
    Down,
    /// `ip link set up`.
    Up,
    /// `ip link del`.
    Gone,
    /// A new one of the same name, up.
    Made,
}

/// The size of a frame that is written as a letter.
pub const FRAME_BYTES: usize = 100;

/// Something that scenarios can be played on.
pub trait World {
    /// Does a step that changes something. The answer is whether it was accepted, which only a
    /// `tc` command is ever not.
    ///
    /// # Errors
    /// When the step could not be done.
    fn act(&mut self, step: Step) -> Result<bool, String>;

    /// The VM sends frames.
    ///
    /// # Errors
    /// When that is not possible.
    fn send(&mut self, frames: &[Vec<u8>]) -> Result<(), String>;

    /// The frames that came out since the last call. A world that has to wait for them waits for
    /// so many, then a little longer.
    ///
    /// # Errors
    /// When nobody can tell.
    fn out(&mut self, expected: usize) -> Result<Vec<Vec<u8>>, String>;

    /// A count of a [`Step::Held`], [`Step::Drops`] or [`Step::Lost`].
    ///
    /// # Errors
    /// When nobody can tell.
    fn count(&mut self, step: Step, expected: u64) -> Result<u64, String>;
}

/// Plays a scenario.
///
/// # Errors
/// The first step that went otherwise than written, with what was seen.
pub fn play(scenario: &Scenario, world: &mut impl World) -> Result<(), String> {
    let mut bursts = 0;
    for (number, step) in (1..).zip(scenario.steps) {
        one(*step, world, &mut bursts)
            .map_err(|what| format!("step {number}, {step:?}: {what}"))?;
    }
    Ok(())
}

fn one(step: Step, world: &mut impl World, bursts: &mut u16) -> Result<(), String> {
    match step {
        Step::Send(letters) => world.send(&frames(letters)),
        Step::Burst(count, bytes) => {
            let burst = (0..count).map(|_| {
                *bursts += 1;
                frame(TCP, 0x100 + *bursts, bytes)
            });
            world.send(&burst.collect::<Vec<_>>())
        }
        Step::Out(letters) => {
            let seen = world.out(letters.len())?;
            if seen == frames(letters) {
                return Ok(());
            }
            let seen: String = seen.iter().map(|frame| letter(frame)).collect();
            Err(format!("`{seen}` came out"))
        }
        Step::Held(expected) | Step::Drops(expected) | Step::Lost(expected) => {
            let seen = world.count(step, expected)?;
            let right = seen == expected;
            right.then_some(()).ok_or_else(|| format!("it is {seen}"))
        }
        Step::Refused(..) => {
            let accepted = world.act(step)?;
            (!accepted)
                .then_some(())
                .ok_or_else(|| "it was accepted".into())
        }
        _ => {
            let accepted = world.act(step)?;
            accepted
                .then_some(())
                .ok_or_else(|| "it was refused".into())
        }
    }
}

const TCP: (u8, u16) = (6, 80);
const VOICE: (u8, u16) = (17, 16384);
const SIGNALLING: (u8, u16) = (17, 5060);

fn frames(letters: &str) -> Vec<Vec<u8>> {
    let one = |letter: char| {
        let kind = match letter {
            'a'..='z' => TCP,
            'A'..='Z' => VOICE,
            _ => SIGNALLING,
        };
        let id = u16::from(u8::try_from(letter).expect("letters of a scenario are ASCII"));
        frame(kind, id, FRAME_BYTES)
    };
    letters.chars().map(one).collect()
}

/// A plain IPv4 packet to this protocol and port, with its identity in the IPv4 identification.
fn frame((protocol, port): (u8, u16), id: u16, bytes: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let total = u16::try_from(bytes - frame.len()).expect("an IPv4 packet");
    frame.extend([0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend(id.to_be_bytes());
    frame.extend([0, 0, 64, protocol, 0, 0, 10, 0, 0, 2, 10, 0, 0, 3]);
    frame.extend([0xc0, 0x01]);
    frame.extend(port.to_be_bytes());
    frame.resize(bytes, 0);
    frame
}

/// The letter of a frame, or `?` for one of a burst or one that nobody sent.
fn letter(frame: &[u8]) -> char {
    match frame.get(18..20) {
        Some([0, id]) => char::from(*id),
        _ => '?',
    }
}
