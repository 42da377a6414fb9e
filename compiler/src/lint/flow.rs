//! Flows of which some packets bypass and others are held: the former overtake the latter.

use policy_lang::field::{Family, Field, Place, Transport};
use policy_lang::packet::Packet;
use policy_lang::policy::{Media, Test};
use policy_lang::values::{Range, ValueSet};
use policy_lang::{PacketSet, SpaceFull};

use super::{Lint, Scene, stateful};

/// Transports whose packets have ports.
const WITH_PORTS: [Transport; 4] = [
    Transport::Udp,
    Transport::UdpLite,
    Transport::Tcp,
    Transport::Sctp,
];

/// A flow that is split, if there is one: a packet of it that is held, and one that overtakes it.
pub(super) fn split(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let space = scene.space;
    for family in Family::ALL {
        let addresses = addresses(family);
        let ports = [Field::Protocol, Field::Sport, Field::Dport];
        let fields: Vec<Field> = ports.into_iter().chain(addresses).collect();
        let places: Vec<_> = fields.iter().filter_map(|f| f.place(family)).collect();
        let plain = WITH_PORTS.map(|transport| space.plain(family, transport, 0));
        let plain = space.union_all(plain.into_iter().collect::<Result<_, _>>()?)?;
        let of = |set: &PacketSet| space.intersection(&plain, set);
        let (held, bypass) = (of(&scene.held)?, of(&scene.bypass)?);
        let overtaken = space.intersection(&held, &space.seen_through(&bypass, &places)?)?;
        let Some(first) = space.shortest(&overtaken)? else {
            continue;
        };
        // A packet of the very flow that the other belongs to.
        let second = alike(scene, &bypass, &first, fields)?;
        let mut lint = Lint::new("L0301", "packets of one flow take both paths");
        lint.notes.push(String::from(
            "the first frame is held, and the second, sent after it between the same ports, overtakes it",
        ));
        lint.help.push(String::from(
            "give all packets between two ports one verdict, or allow it where their order means nothing",
        ));
        lint.frames.push(first);
        lint.frames.extend(space.shortest(&second)?);
        return Ok(vec![lint]);
    }
    Ok(Vec::new())
}

fn addresses(family: Family) -> [Field; 2] {
    match family {
        Family::V4 => [Field::Src4, Field::Dst4],
        Family::V6 => [Field::Src6, Field::Dst6],
    }
}

/// The frames of `set` that have in these fields what `frame` has in them.
fn alike(
    scene: &Scene<'_>,
    set: &PacketSet,
    frame: &[u8],
    fields: impl IntoIterator<Item = Field>,
) -> Result<PacketSet, SpaceFull> {
    let mut set = set.clone();
    for field in fields {
        if let Some(value) = Packet::new(frame).read(field) {
            let same = Test::Field(field, ValueSet::single(value));
            set = scene.space.intersection(&set, &scene.space.test(&same)?)?;
        }
    }
    Ok(set)
}

/// Ports that RTP may have: those of services are not for media, nor are those of SIP, which policies
/// name one by one.
fn media_ports() -> ValueSet {
    let sip = stateful::SIP_PORTS.map(|port| Range::new(port.into(), port.into()));
    let any = ValueSet::range(1024, u16::MAX.into());
    any.minus(&ValueSet::from_ranges(sip))
}

/// RTP that passes while the RTCP of the same session is held: its ports are those of RTP and one
/// more (RFC 3550, section 11). The other way round is no harm: RTCP tells of what has been sent.
pub(super) fn media_without_reports(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let space = scene.space;
    let ports = [Field::Sport, Field::Dport].map(|field| Test::Field(field, media_ports()));
    let [sport, dport] = ports.map(|test| space.test(&test));
    let ports = space.intersection(&sport?, &dport?)?;
    for family in Family::ALL {
        let of = |media, from: &PacketSet, low: u128| -> Result<PacketSet, SpaceFull> {
            let mut set = space.intersection(from, &space.test(&Test::Media(media))?)?;
            set = space.intersection(&set, &space.ip(family)?)?;
            set = space.intersection(&set, &ports)?;
            for field in [Field::Sport, Field::Dport] {
                if let Some(place) = field.place(family) {
                    set = space.intersection(&set, &space.bits_masked(place, low, 1)?)?;
                }
            }
            Ok(set)
        };
        let passing = of(Media::Rtp, &scene.bypass, 0)?;
        let held = of(Media::Rtcp, &scene.held, 1)?;
        // All but the lowest bit of the ports.
        let pair = |field: Field| {
            let place = field.place(family)?;
            Some(Place {
                width: place.width - 1,
                ..place
            })
        };
        let places: Vec<Place> = [Field::Sport, Field::Dport]
            .into_iter()
            .filter_map(pair)
            .chain(addresses(family).iter().filter_map(|f| f.place(family)))
            .collect();
        let reports = space.intersection(&held, &space.seen_through(&passing, &places)?)?;
        let Some(report) = space.shortest(&reports)? else {
            continue;
        };
        let mut media = alike(scene, &passing, &report, addresses(family))?;
        for field in [Field::Sport, Field::Dport] {
            if let Some(port) = Packet::new(&report).read(field) {
                let even = Test::Field(field, ValueSet::single(port - 1));
                media = space.intersection(&media, &space.test(&even)?)?;
            }
        }
        let mut lint = Lint::new("L0302", "RTP passes and its RTCP is held");
        lint.notes.push(String::from(
            "the first frame is a report about a stream, and the second, sent after it, is of that stream",
        ));
        lint.notes.push(String::from(
            "a peer takes the time that its reports are held for time on the way: the round trip that it \
             finds is longer than that of the media",
        ));
        lint.help.push(String::from(
            "let `rtcp` pass at the next ports as well, or allow it where nobody looks at the reports",
        ));
        lint.frames.push(report);
        lint.frames.extend(space.shortest(&media)?);
        return Ok(vec![lint]);
    }
    Ok(Vec::new())
}

/// SIP between two hosts of which one kind passes wholly while another is held: UDP and TCP, what comes
/// from the port and what goes to it. One dialog has all of them (RFC 3261, sections 12 and 18).
pub(super) fn dialogs(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let space = scene.space;
    let media = stateful::media(scene)?;
    for family in Family::ALL {
        let places: Vec<Place> = addresses(family)
            .iter()
            .filter_map(|field| field.place(family))
            .collect();
        let (mut passing, mut held) = (space.none(), space.none());
        for kind in kinds(scene, family)? {
            let kind = space.minus(&kind, &media)?;
            let passes = space.intersection(&kind, &scene.bypass)?;
            let waits = space.intersection(&kind, &scene.held)?;
            held = space.union(&held, &waits)?;
            if !passes.is_empty() {
                let whole = space.minus(&passes, &space.seen_through(&waits, &places)?)?;
                passing = space.union(&passing, &whole)?;
            }
        }
        let overtaken = space.intersection(&held, &space.seen_through(&passing, &places)?)?;
        let Some(first) = space.shortest(&overtaken)? else {
            continue;
        };
        let second = alike(scene, &passing, &first, addresses(family))?;
        let mut lint = Lint::new("L0303", "SIP between two hosts takes both paths");
        lint.notes.push(String::from(
            "the first frame is held, and the second, sent after it between the same hosts, overtakes it: \
             a dialog may have both",
        ));
        lint.help.push(String::from(
            "hold all of `(udp or tcp) port { 5060, 5061 }`: what a peer has seen of a dialog must stay true",
        ));
        lint.frames.push(first);
        lint.frames.extend(space.shortest(&second)?);
        return Ok(vec![lint]);
    }
    Ok(Vec::new())
}

/// SIP by transport, port, and whose port it is.
fn kinds(scene: &Scene<'_>, family: Family) -> Result<Vec<PacketSet>, SpaceFull> {
    let space = scene.space;
    let mut kinds = Vec::new();
    for transport in [Transport::Udp, Transport::Tcp] {
        let plain = space.plain(family, transport, 0)?;
        for field in [Field::Sport, Field::Dport] {
            for port in stateful::SIP_PORTS {
                let test = Test::Field(field, ValueSet::single(port.into()));
                kinds.push(space.intersection(&plain, &space.test(&test)?)?);
            }
        }
    }
    Ok(kinds)
}
