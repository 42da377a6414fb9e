//! Flows of which some packets bypass and others are held: the former overtake the latter.

use policy_lang::field::{Family, Field, Transport};
use policy_lang::packet::Packet;
use policy_lang::policy::Test;
use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, SpaceFull};

use super::{Lint, Scene};

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
        let addresses = match family {
            Family::V4 => [Field::Src4, Field::Dst4],
            Family::V6 => [Field::Src6, Field::Dst6],
        };
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
        let mut second = bypass;
        for field in fields {
            if let Some(value) = Packet::new(&first).read(field) {
                let same = Test::Field(field, ValueSet::single(value));
                second = space.intersection(&second, &space.test(&same)?)?;
            }
        }
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
