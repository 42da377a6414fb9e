//! What the host hands to the program beside the kernel: cases, each with rules to load and frames
//! to send, in one file.
//!
//! The format, all numbers little endian: the eight bytes of [`MAGIC`]; then cases up to the end. A
//! text is a `u32` length and its bytes. A case is its name, one byte for the kind of rules (0 nft,
//! 1 u32), the rules, and a `u32` count of shots. A shot is a byte of flags, a `u32` length of the
//! frame, a `u32` count of the bytes that are there, those bytes, and ten bytes of
//! `struct virtio_net_hdr` (include/uapi/linux/virtio_net.h) if it has one. The flags are bits 0 to
//! 1 fate, bits 2 to 3 way, bit 4 header. What of a frame is not there follows [`pattern`]: long
//! frames would make most of a file otherwise.

use std::io::{self, Read, Write};

use compiler::backend::Kind;

use super::way::Way;

/// How each file begins.
pub const MAGIC: &[u8; 8] = b"EGDIFF1\n";

/// A header of `virtio_net`, as the kernel of the same machine reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Offload(pub [u8; 10]);

/// What the rules must do to a frame that reaches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Let it pass at once.
    Bypass,
    /// Hand it to the IFB.
    Hold,
    /// Drop it. No policy says so, but a wrong rule may.
    Drop,
}

/// One frame to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Its bytes.
    pub frame: Vec<u8>,
    /// Its header; all zero for a plain frame.
    pub offload: Offload,
    /// What the rules must do.
    pub fate: Fate,
    /// How far it gets.
    pub way: Way,
}

/// Rules and the frames for them. All frames of a case are distinct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is called in answers, without line breaks.
    pub name: String,
    /// Who made the rules.
    pub backend: Kind,
    /// What the kernel's tool loads.
    pub rules: String,
    /// The frames, in the order of sending.
    pub shots: Vec<Shot>,
}

/// The byte at `place` of a frame, where nothing else is said.
#[must_use]
pub fn pattern(place: usize) -> u8 {
    (place % 251) as u8
}

/// Writes a file of cases.
///
/// # Errors
/// What the stream says.
pub fn write(to: &mut impl Write, cases: &[Case]) -> io::Result<()> {
    to.write_all(MAGIC)?;
    for case in cases {
        text(to, case.name.as_bytes())?;
        to.write_all(&[match case.backend {
            Kind::Nft => 0,
            Kind::U32 => 1,
            Kind::Bpf => 2,
            Kind::Flower => 3,
        }])?;
        text(to, case.rules.as_bytes())?;
        to.write_all(&length(case.shots.len())?)?;
        for shot in &case.shots {
            write_shot(to, shot)?;
        }
    }
    to.flush()
}

fn text(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&length(bytes.len())?)?;
    to.write_all(bytes)
}

fn length(n: usize) -> io::Result<[u8; 4]> {
    let n = u32::try_from(n).map_err(|_| broken("something too long for a batch"))?;
    Ok(n.to_le_bytes())
}

fn write_shot(to: &mut impl Write, shot: &Shot) -> io::Result<()> {
    let fate = match shot.fate {
        Fate::Bypass => 0,
        Fate::Hold => 1,
        Fate::Drop => 2,
    };
    let way = match shot.way {
        Way::Whole => 0,
        Way::ToTheBridge => 1,
        Way::ToBrNetfilter => 2,
        Way::Nowhere => 3,
    };
    let header = shot.offload != Offload::default();
    to.write_all(&[fate | way << 2 | u8::from(header) << 4])?;
    to.write_all(&length(shot.frame.len())?)?;
    let by_itself = shot.frame.iter().enumerate().rev();
    let tail = by_itself
        .take_while(|(place, byte)| **byte == pattern(*place))
        .count();
    text(to, &shot.frame[..shot.frame.len() - tail])?;
    if header {
        to.write_all(&shot.offload.0)?;
    }
    Ok(())
}

/// Reads a file of cases, one at a time.
#[derive(Debug)]
pub struct Cases<R> {
    from: R,
}

impl<R: Read> Cases<R> {
    /// Starts to read.
    ///
    /// # Errors
    /// When it is no batch, or can't be read.
    pub fn new(mut from: R) -> io::Result<Self> {
        if bytes::<8>(&mut from)? != *MAGIC {
            return Err(broken("no batch"));
        }
        Ok(Self { from })
    }

    fn case(&mut self) -> io::Result<Option<Case>> {
        let mut first = [0];
        if self.from.read(&mut first)? == 0 {
            return Ok(None);
        }
        let [second, third, fourth] = bytes(&mut self.from)?;
        let name = self.text(u32::from_le_bytes([first[0], second, third, fourth]))?;
        let backend = match bytes(&mut self.from)? {
            [0] => Kind::Nft,
            [1] => Kind::U32,
            [2] => Kind::Bpf,
            [3] => Kind::Flower,
            _ => return Err(broken("rules of an unknown kind")),
        };
        let rules = self.number()?;
        let rules = self.text(rules)?;
        let mut shots = Vec::new();
        for _ in 0..self.number()? {
            shots.push(self.shot()?);
        }
        Ok(Some(Case {
            name,
            backend,
            rules,
            shots,
        }))
    }

    fn number(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(bytes(&mut self.from)?))
    }

    fn text(&mut self, length: u32) -> io::Result<String> {
        let bytes = self.some(length)?;
        String::from_utf8(bytes).map_err(|_| broken("a text that is not UTF-8"))
    }

    /// Reads no more than there is, so a wrong length costs no memory.
    fn some(&mut self, length: u32) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = (&mut self.from)
            .take(length.into())
            .read_to_end(&mut bytes)?;
        if read != length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    fn shot(&mut self) -> io::Result<Shot> {
        let [flags] = bytes(&mut self.from)?;
        let fate = match flags & 3 {
            0 => Fate::Bypass,
            1 => Fate::Hold,
            2 => Fate::Drop,
            _ => return Err(broken("an unknown fate")),
        };
        let way = match flags >> 2 & 3 {
            0 => Way::Whole,
            1 => Way::ToTheBridge,
            2 => Way::ToBrNetfilter,
            _ => Way::Nowhere,
        };
        let length = self.number()? as usize;
        let there = self.number()?;
        let mut frame = self.some(there)?;
        if frame.len() > length || length > LONGEST {
            return Err(broken("a frame of impossible length"));
        }
        frame.extend((frame.len()..length).map(pattern));
        let offload = match flags >> 4 {
            0 => Offload::default(),
            1 => Offload(bytes(&mut self.from)?),
            _ => return Err(broken("unknown flags")),
        };
        Ok(Shot {
            frame,
            offload,
            fate,
            way,
        })
    }
}

/// No frame is longer: what a tap takes in one piece.
pub const LONGEST: usize = 65_535;

impl<R: Read> Iterator for Cases<R> {
    type Item = io::Result<Case>;

    fn next(&mut self) -> Option<Self::Item> {
        self.case().transpose()
    }
}

fn bytes<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shots() -> impl Strategy<Value = Shot> {
        let frame = (
            proptest::collection::vec(any::<u8>(), 14..40),
            0_usize..2000,
        );
        let fate = prop_oneof![Just(Fate::Bypass), Just(Fate::Hold), Just(Fate::Drop)];
        let way = prop_oneof![
            Just(Way::Whole),
            Just(Way::ToTheBridge),
            Just(Way::ToBrNetfilter),
            Just(Way::Nowhere)
        ];
        let offload = prop_oneof![Just([0; 10]), any::<[u8; 10]>()].prop_map(Offload);
        (frame, offload, fate, way).prop_map(|((mut frame, more), offload, fate, way)| {
            frame.extend((frame.len()..frame.len() + more).map(pattern));
            Shot {
                frame,
                offload,
                fate,
                way,
            }
        })
    }

    fn cases() -> impl Strategy<Value = Vec<Case>> {
        let backend = prop_oneof![
            Just(Kind::Nft),
            Just(Kind::U32),
            Just(Kind::Bpf),
            Just(Kind::Flower)
        ];
        let shots = proptest::collection::vec(shots(), 0..6);
        let case = (any::<String>(), backend, any::<String>(), shots);
        let case = case.prop_map(|(name, backend, rules, shots)| Case {
            name,
            backend,
            rules,
            shots,
        });
        proptest::collection::vec(case, 0..4)
    }

    fn read(file: &[u8]) -> io::Result<Vec<Case>> {
        Cases::new(file)?.collect()
    }

    proptest! {
        #[test]
        fn cases_come_out_as_they_went_in(cases in cases()) {
            let mut file = Vec::new();
            write(&mut file, &cases).unwrap();
            prop_assert_eq!(read(&file).unwrap(), cases);
        }

        #[test]
        fn a_file_cut_short_gives_fewer_cases_or_an_error(
            cases in cases(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut file = Vec::new();
            write(&mut file, &cases).unwrap();
            if let Ok(some) = read(&file[..cut.index(file.len())]) {
                prop_assert!(some.len() < cases.len() && cases.starts_with(&some));
            }
        }

        #[test]
        fn garbage_is_an_error_or_cases(bytes in any::<Vec<u8>>()) {
            let _ = read(&[&MAGIC[..], &bytes].concat());
        }
    }

    #[test]
    fn what_follows_the_pattern_takes_no_room() {
        let long = Shot {
            frame: (0..60_000).map(pattern).collect(),
            offload: Offload::default(),
            fate: Fate::Hold,
            way: Way::Whole,
        };
        let mut file = Vec::new();
        write_shot(&mut file, &long).unwrap();
        assert_eq!(file.len(), 9);
    }
}
