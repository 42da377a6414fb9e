//! The simulated traffic, guest and network on the command line, for every verb that simulates; and
//! what can't go together.

use std::net::IpAddr;
use std::time::Duration;

use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet::Verdict;
use qdisc_model::simulate::{Bulk, Calls, Checkpoints, Codec, Config, Network, Verdicts};

use crate::cli::{
    bit_rate, byte_rate, duration, frequency, positive_byte_rate, positive_duration, share, size,
};
use crate::command::replay::{REMUS_INTERVAL, TimerChoice, nanoseconds};
use crate::exit::Failure;
use crate::simulate::Plan;
use crate::simulate::traffic::Traffic;

/// The most that TCP may have on the way: windows are scaled to a gibibyte at most (RFC 7323).
const LARGEST_WINDOW: u32 = 1 << 30;

/// Traffic, guest and network.
#[derive(Debug, clap::Args)]
#[group(id = "workload")]
pub(super) struct Workload {
    /// From when the interval counts.
    #[arg(long, value_enum, default_value_t = TimerChoice::Commit, help_heading = "Checkpoints")]
    timer: TimerChoice,
    /// How long a checkpoint of no memory stops the guest.
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = duration, help_heading = "Checkpoints")]
    pause: Duration,
    /// Memory that the guest dirties a second.
    #[arg(long, value_name = "RATE", default_value = "4MiB/s", value_parser = byte_rate, help_heading = "Checkpoints")]
    dirty_rate: f64,
    /// Most memory that it dirties between two checkpoints.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size, help_heading = "Checkpoints")]
    working_set: u64,
    /// How fast dirty memory is copied while the guest stands still.
    #[arg(long, value_name = "RATE", default_value = "1GiB/s", value_parser = positive_byte_rate, help_heading = "Checkpoints")]
    copy_rate: f64,
    /// The link to the backup.
    #[arg(long, value_name = "RATE", default_value = "1Gbit/s", value_parser = bit_rate, help_heading = "Checkpoints")]
    link: f64,
    /// Round trip to the backup that a commit waits for; Xen's libxl waits for none.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration, help_heading = "Checkpoints")]
    acknowledgement: Duration,

    /// Calls, one direction each: what the guest sends.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Traffic")]
    calls: u32,
    /// Codec of the calls: 64 kbit/s, 8 kbit/s, or 24 kbit/s.
    #[arg(long, value_enum, default_value_t = CodecChoice::G711, help_heading = "Traffic")]
    codec: CodecChoice,
    /// From one RTP packet of a call to the next.
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = positive_duration, help_heading = "Traffic")]
    packet_time: Duration,
    /// Speakers fall silent, and nothing is sent then: spurts of 1 s and silences of 1.35 s on
    /// average (ITU-T P.59).
    #[arg(long, help_heading = "Traffic")]
    silences: bool,
    /// Mean delay of the sender's timer.
    #[arg(long, value_name = "TIME", default_value = "200us", value_parser = duration, help_heading = "Traffic")]
    timer_noise: Duration,
    /// SIP messages, of 900 bytes, at random times.
    #[arg(long, value_name = "RATE", default_value = "5/s", value_parser = frequency, help_heading = "Traffic")]
    signalling: f64,
    /// Window of a bulk TCP connection, 0 for none.
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = size, help_heading = "Traffic")]
    bulk: u64,
    /// The guest's address.
    #[arg(long, value_name = "ADDRESS", default_value_t = Traffic::USUAL.guest, help_heading = "Traffic")]
    guest: IpAddr,
    /// Address of the other end.
    #[arg(long, value_name = "ADDRESS", default_value_t = Traffic::USUAL.phone, help_heading = "Traffic")]
    phone: IpAddr,
    /// The guest's RTP port: FreeSWITCH's range begins here.
    #[arg(long, value_name = "PORT", default_value_t = Traffic::USUAL.media_port, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Traffic")]
    media_port: u16,
    /// The phone's RTP port, which the phone chooses.
    #[arg(long, value_name = "PORT", default_value_t = Traffic::USUAL.phone_port, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Traffic")]
    phone_port: u16,
    /// Port of SIP at both ends.
    #[arg(long, value_name = "PORT", default_value_t = Traffic::USUAL.sip_port, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Traffic")]
    sip_port: u16,
    /// The guest's port of the bulk TCP connection.
    #[arg(long, value_name = "PORT", default_value_t = Traffic::USUAL.bulk_port, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Traffic")]
    bulk_port: u16,

    /// The link behind the gate.
    #[arg(long, value_name = "RATE", default_value = "1Gbit/s", value_parser = bit_rate, help_heading = "Network and receivers")]
    network_rate: f64,
    /// Delay of the network, one way.
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = duration, help_heading = "Network and receivers")]
    network_delay: Duration,
    /// Mean of a random delay on top of it; order is kept.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration, help_heading = "Network and receivers")]
    network_noise: Duration,
    /// Packets that the network loses, each on its own.
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = share, help_heading = "Network and receivers")]
    loss: f64,
    /// Depth of the receivers' fixed jitter buffer; the adaptive one is 40 to 200 ms deep.
    #[arg(long, value_name = "TIME", default_value = "60ms", value_parser = duration, help_heading = "Network and receivers")]
    jitter_buffer: Duration,
}

/// Codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CodecChoice {
    /// G.711, 64 kbit/s.
    G711,
    /// G.729, 8 kbit/s.
    G729,
    /// Opus at 24 kbit/s.
    Opus,
}

impl From<CodecChoice> for Codec {
    fn from(choice: CodecChoice) -> Self {
        match choice {
            CodecChoice::G711 => Self::G711,
            CodecChoice::G729 => Self::G729,
            CodecChoice::Opus => Self::Opus,
        }
    }
}

/// Packet times that a codec has, in units of half a millisecond, its look-ahead in milliseconds,
/// and how to say the former.
struct Frames {
    name: &'static str,
    fits: fn(u64) -> bool,
    look_ahead_ms: f64,
    help: &'static str,
}

impl CodecChoice {
    fn frames(self) -> Frames {
        match self {
            Self::G711 => Frames {
                name: "G.711",
                fits: |halves| halves.is_multiple_of(2) && (10..=200).contains(&halves),
                look_ahead_ms: 0.0,
                help: "G.711 packets hold whole milliseconds, 5 to 100 of them; 20 ms is usual",
            },
            // Look-ahead: ITU-T G.729, clause 2.
            Self::G729 => Frames {
                name: "G.729",
                fits: |halves| halves.is_multiple_of(20) && (20..=200).contains(&halves),
                look_ahead_ms: 5.0,
                help: "G.729 packets hold frames of 10 ms, one to ten of them; 20 ms is usual",
            },
            // Frame lengths: RFC 6716 section 2.1.4. Look-ahead: RFC 6716 section 2.
            Self::Opus => Frames {
                name: "Opus",
                fits: |halves| [5, 10, 20, 40, 80, 120].contains(&halves),
                look_ahead_ms: 6.5,
                help: "an Opus frame is of 2.5, 5, 10, 20, 40 or 60 ms; 20 ms is usual",
            },
        }
    }
}

/// A packet of media may need at most this share of the link, all calls together: a queue that only
/// grows says nothing about a gate.
const MOST_LOAD: f64 = 0.95;

/// Headers of a voice packet, Ethernet to RTP, and what Ethernet adds on the wire.
const VOICE_OVERHEAD: u64 = 14 + 20 + 8 + 12 + 24;

impl Workload {
    /// What they say, or why that makes no sense. Everything is held, without a limit, and nothing
    /// fails: that is for the caller to say, as is the interval.
    pub(super) fn plan(&self, seed: u64, duration: Duration) -> Result<Plan, Failure> {
        let frames = self.check()?;
        let packet_ms = self.packet_time.as_secs_f64() * 1e3;
        let window = u32::try_from(self.bulk).unwrap_or(LARGEST_WINDOW);
        let held = Verdict::Buffer;
        let config = Config {
            seed,
            duration: nanoseconds(duration),
            calls: Calls {
                count: self.calls,
                codec: self.codec.into(),
                packet_time: nanoseconds(self.packet_time),
                silences: self.silences,
                timer_noise: nanoseconds(self.timer_noise),
            },
            signalling_rate: self.signalling,
            bulk: (window > 0).then_some(Bulk { window }),
            verdicts: Verdicts {
                media: held,
                signalling: held,
                bulk: held,
            },
            limit: u64::MAX,
            checkpoints: Some(Checkpoints {
                interval: nanoseconds(REMUS_INTERVAL),
                timer: self.timer.into(),
                pause: nanoseconds(self.pause),
                dirty_rate: self.dirty_rate,
                working_set: self.working_set as f64,
                copy_rate: self.copy_rate,
                link_rate: self.link,
                acknowledgement: nanoseconds(self.acknowledgement),
            }),
            network: Network {
                rate: self.network_rate,
                delay: nanoseconds(self.network_delay),
                noise: nanoseconds(self.network_noise),
                loss: self.loss,
            },
            failover: None,
            assumptions: Assumptions {
                fixed_ms: self.jitter_buffer.as_secs_f64() * 1e3,
                delay_ms: packet_ms + frames.look_ahead_ms,
                ..Assumptions::default()
            },
            record: false,
        };
        let traffic = Traffic {
            guest: self.guest,
            phone: self.phone,
            media_port: self.media_port,
            phone_port: self.phone_port,
            sip_port: self.sip_port,
            bulk_port: self.bulk_port,
        };
        Ok(Plan { config, traffic })
    }

    fn check(&self) -> Result<Frames, Failure> {
        let wrong = |message: String, help: &str| {
            Err(Failure::Usage {
                message,
                help: Some(help.to_owned()),
            })
        };
        let frames = self.codec.frames();
        let packet_ns = nanoseconds(self.packet_time);
        let halves = packet_ns / 500_000;
        if !packet_ns.is_multiple_of(500_000) || !(frames.fits)(halves) {
            let (name, time) = (frames.name, self.packet_time);
            return wrong(format!("{name} has no packets of {time:?}"), frames.help);
        }
        if self.guest.is_ipv4() != self.phone.is_ipv4() {
            return wrong(
                format!("{} and {} can't talk to each other", self.guest, self.phone),
                "give `--guest` and `--phone` addresses of one family",
            );
        }
        if self.bulk > u64::from(LARGEST_WINDOW) {
            return wrong(
                format!("TCP has no window of {} bytes", self.bulk),
                "`--bulk` is at most 1GiB",
            );
        }
        let bits = Codec::from(self.codec).bit_rate() as f64
            + VOICE_OVERHEAD as f64 * 8.0 / self.packet_time.as_secs_f64();
        let load = bits * f64::from(self.calls);
        if load > self.network_rate * MOST_LOAD {
            return wrong(
                format!(
                    "{} calls need {:.1} Mbit/s, and the network carries {:.1} Mbit/s",
                    self.calls,
                    load / 1e6,
                    self.network_rate / 1e6
                ),
                "simulate fewer `--calls`, or a faster `--network-rate`",
            );
        }
        Ok(frames)
    }
}
