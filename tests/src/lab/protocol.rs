//! What host and guest say to each other over a virtio port: frames of one byte of kind, four bytes
//! of length (little endian) and a payload, which is raw output or JSON. The guest speaks first;
//! jobs run one after the other.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

/// Both sides must have the same: they are built from one source, but an image may be old.
pub const VERSION: u32 = 2;
/// The name of the virtio port.
pub const PORT: &str = "epochgate.lab";
/// No honest frame is longer.
const LONGEST: u32 = 64 << 20;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The guest is ready.
    Hello(Hello),
    /// The host wants this done.
    Job(Job),
    /// The host wants this file to be there, in place of an older one.
    File(File),
    /// The running job wrote this to its standard output.
    Stdout(Vec<u8>),
    /// The running job wrote this to its standard error.
    Stderr(Vec<u8>),
    /// The running job is over.
    Ended(Ended),
    /// The host wants the guest to power off.
    PowerOff,
}

/// What the guest says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the guest.
    pub version: u32,
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// Milliseconds since the kernel's start.
    pub uptime_ms: u64,
    /// Modules that could not be loaded, each with the reason.
    pub failed_modules: Vec<String>,
}

/// A command for the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables beside those that every job gets.
    pub environment: Vec<(String, String)>,
    /// The job is killed after so many milliseconds.
    pub limit_ms: u64,
}

/// A file for the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, absolute.
    pub path: String,
    /// All of it.
    pub contents: Vec<u8>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// How long it ran.
    pub duration_ms: u64,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was still running at its limit and was killed.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}

impl Outcome {
    /// The exit status that a shell would give.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Exited(status) => u8::try_from(*status).unwrap_or(255),
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(255),
            Self::TimedOut => 124,
            Self::NotStarted(_) => 127,
        }
    }
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => b'H',
            Self::Job(_) => b'J',
            Self::File(_) => b'F',
            Self::Stdout(_) => b'O',
            Self::Stderr(_) => b'E',
            Self::Ended(_) => b'X',
            Self::PowerOff => b'P',
        }
    }

    /// Writes the frame in one piece.
    ///
    /// # Errors
    /// When the other side is gone, or for a payload longer than 16 MiB.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let payload = match self {
            Self::Hello(hello) => serde_json::to_vec(hello)?,
            Self::Job(job) => serde_json::to_vec(job)?,
            Self::Ended(ended) => serde_json::to_vec(ended)?,
            Self::File(file) => [file.path.as_bytes(), b"\0", &file.contents].concat(),
            Self::Stdout(bytes) | Self::Stderr(bytes) => bytes.clone(),
            Self::PowerOff => Vec::new(),
        };
        let length = u32::try_from(payload.len()).ok().filter(|n| *n <= LONGEST);
        let length = length.ok_or_else(|| broken("a frame too long to send"))?;
        let mut bytes = vec![self.kind()];
        bytes.extend(length.to_le_bytes());
        bytes.extend(payload);
        to.write_all(&bytes)?;
        to.flush()
    }

    /// Reads one frame; `None` at the end of the stream between two frames.
    ///
    /// # Errors
    /// When the stream breaks off inside a frame or holds something else.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut kind = [0];
        if from.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > LONGEST {
            return Err(broken("a frame longer than any"));
        }
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload)?;
        let frame = match kind[0] {
            b'H' => Self::Hello(serde_json::from_slice(&payload)?),
            b'J' => Self::Job(serde_json::from_slice(&payload)?),
            b'F' => Self::File(file(&payload)?),
            b'O' => Self::Stdout(payload),
            b'E' => Self::Stderr(payload),
            b'X' => Self::Ended(serde_json::from_slice(&payload)?),
            b'P' => Self::PowerOff,
            _ => return Err(broken("a frame of unknown kind")),
        };
        Ok(Some(frame))
    }
}

/// A path, which has no zero byte, a zero byte, the contents.
fn file(payload: &[u8]) -> io::Result<File> {
    let end = payload.iter().position(|&byte| byte == 0);
    let end = end.ok_or_else(|| broken("a file without a path"))?;
    let path = String::from_utf8(payload[..end].to_vec());
    Ok(File {
        path: path.map_err(|_| broken("a path that is not UTF-8"))?,
        contents: payload[end + 1..].to_vec(),
    })
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let text = || any::<String>();
        prop_oneof![
            (
                text(),
                any::<u64>(),
                proptest::collection::vec(text(), 0..3)
            )
                .prop_map(|(kernel, uptime_ms, failed_modules)| Frame::Hello(Hello {
                    version: VERSION,
                    kernel,
                    uptime_ms,
                    failed_modules
                })),
            (
                proptest::collection::vec(text(), 0..3),
                text(),
                any::<u64>()
            )
                .prop_map(|(command, value, limit_ms)| Frame::Job(Job {
                    command,
                    environment: vec![(String::from("A"), value)],
                    limit_ms
                })),
            ("[a-z/]{0,9}", any::<Vec<u8>>())
                .prop_map(|(path, contents)| Frame::File(File { path, contents })),
            any::<Vec<u8>>().prop_map(Frame::Stdout),
            any::<Vec<u8>>().prop_map(Frame::Stderr),
            (any::<i32>(), any::<u64>()).prop_map(|(status, duration_ms)| Frame::Ended(Ended {
                outcome: Outcome::Exited(status),
                duration_ms
            })),
            Just(Frame::PowerOff),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(sent in proptest::collection::vec(frames(), 0..5)) {
            let mut wire = Vec::new();
            for frame in &sent {
                frame.write(&mut wire).unwrap();
            }
            let mut rest = wire.as_slice();
            let mut received = Vec::new();
            while let Some(frame) = Frame::read(&mut rest).unwrap() {
                received.push(frame);
            }
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn garbage_is_an_error_or_the_end(bytes in any::<Vec<u8>>()) {
            let mut rest = bytes.as_slice();
            while let Ok(Some(_)) = Frame::read(&mut rest) {}
        }

        #[test]
        fn a_frame_cut_short_is_an_error(frame in frames(), cut in any::<prop::sample::Index>()) {
            let mut wire = Vec::new();
            frame.write(&mut wire).unwrap();
            let length = 1 + cut.index(wire.len() - 1);
            prop_assert!(Frame::read(&mut &wire[..length]).is_err());
        }
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_it_is_read() {
        let error = Frame::read(&mut &[b'O', 255, 255, 255, 255][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
