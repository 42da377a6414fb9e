//! Random frames at the edges: port borders, fragments, options, tags, truncation at every byte.

use policy_lang::field::Field;
use proptest::prelude::*;

/// Interesting values of a field, and now and then any value.
pub fn pool(field: Field) -> BoxedStrategy<u128> {
    let known: &[u128] = match field {
        Field::SrcMac | Field::DstMac => &[
            0,
            0x0016_3e00_0001,
            0x0016_3e00_0002,
            0xffff_ffff_ffff,
            0x0180_c200_000e,
        ],
        Field::VlanId => &[0, 1, 100, 101, 4095],
        Field::Ethertype => &[
            0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x88cc, 0x9100, 0x0600, 0x05ff, 0x0026, 0,
        ],
        Field::Protocol => &[6, 17, 1, 58, 132, 136, 44, 0, 47, 50, 255],
        Field::Src4 | Field::Dst4 => &[
            0x0a00_0002,
            0x0a00_0003,
            0x0a01_0000,
            0x0aff_ffff,
            0xc000_0209,
            0,
            0xffff_ffff,
        ],
        Field::Src6 | Field::Dst6 => &[
            0x2001_0db8_0000_0000_0000_0000_0000_0001,
            0x2001_0db8_0000_0000_0000_0000_0000_ffff,
            0x2001_0db8_0009_0000_0000_0000_0000_0000,
            0xfe80_0000_0000_0000_0000_0000_0000_0001,
            0,
            u128::MAX,
        ],
        Field::Dscp => &[0, 46, 34, 63],
        Field::Ecn => &[0, 1, 2, 3],
        Field::Ttl => &[0, 1, 2, 64, 255],
        Field::FragmentBits => &[0, 0x2000, 1, 0x2001, 185, 0x1fff],
        Field::Sport | Field::Dport => &[
            0, 53, 5059, 5060, 5061, 16383, 16384, 20000, 32767, 32768, 65535,
        ],
        Field::TcpFlags => &[0, 2, 16, 18, 4, 255],
        Field::IcmpType => &[0, 3, 8, 128, 129, 135],
        Field::IcmpCode => &[0, 1, 4],
        Field::PayloadFirst => &[0, 3, 4, 16, 19, 20, 63, 64, 79, 80, 127, 128, 191, 192],
        Field::PayloadSecond => &[0, 8, 18, 127, 136, 191, 192, 200, 223, 224],
    };
    let max = policy_lang::values::max_value(field.width());
    prop_oneof![
        12 => proptest::sample::select(known),
        1 => any::<u128>().prop_map(move |value| value & max),
    ]
    .boxed()
}

fn u16_of(field: Field) -> impl Strategy<Value = u16> {
    pool(field).prop_map(|value| value as u16)
}

fn u8_of(field: Field) -> impl Strategy<Value = u8> {
    pool(field).prop_map(|value| value as u8)
}

fn ipv4() -> impl Strategy<Value = Vec<u8>> {
    let first =
        prop_oneof![10 => Just(0x45_u8), 1 => Just(0x46), 1 => Just(0x4f), 1 => any::<u8>()];
    let fragment =
        prop_oneof![6 => Just(0_u16), 1 => Just(0x4000), 2 => u16_of(Field::FragmentBits)];
    (
        first,
        (u8_of(Field::Dscp), u8_of(Field::Ecn)),
        fragment,
        (u8_of(Field::Ttl), u8_of(Field::Protocol)),
        (pool(Field::Src4), pool(Field::Dst4)),
    )
        .prop_map(
            |(first, (dscp, ecn), fragment, (ttl, protocol), (src, dst))| {
                let mut header = vec![first, dscp << 2 | ecn & 3, 0, 60, 0, 1];
                header.extend(fragment.to_be_bytes());
                header.extend([ttl, protocol, 0, 0]);
                header.extend((src as u32).to_be_bytes());
                header.extend((dst as u32).to_be_bytes());
                header
            },
        )
}

fn ipv6() -> impl Strategy<Value = Vec<u8>> {
    let version = prop_oneof![12 => Just(6_u8), 1 => 0_u8..16];
    (
        version,
        (u8_of(Field::Dscp), u8_of(Field::Ecn)),
        (u8_of(Field::Protocol), u8_of(Field::Ttl)),
        (pool(Field::Src6), pool(Field::Dst6)),
    )
        .prop_map(|(version, (dscp, ecn), (next, hops), (src, dst))| {
            let class = dscp << 2 | ecn & 3;
            let mut header = vec![
                version << 4 | class >> 4,
                class << 4,
                0,
                0,
                0,
                30,
                next,
                hops,
            ];
            header.extend(src.to_be_bytes());
            header.extend(dst.to_be_bytes());
            header
        })
}

/// What follows an IP header: reads as UDP, TCP, ICMP or a fragment's middle, as chance has it.
fn transport() -> impl Strategy<Value = Vec<u8>> {
    let ports = (u16_of(Field::Sport), u16_of(Field::Dport));
    let icmp = (u8_of(Field::IcmpType), u8_of(Field::IcmpCode));
    let payload = (u8_of(Field::PayloadFirst), u8_of(Field::PayloadSecond));
    (
        any::<bool>(),
        ports,
        icmp,
        payload,
        u8_of(Field::TcpFlags),
        0_usize..40,
    )
        .prop_map(
            |(is_icmp, (sport, dport), (kind, code), (first, second), flags, rest)| {
                let mut bytes = Vec::new();
                bytes.extend(sport.to_be_bytes());
                bytes.extend(dport.to_be_bytes());
                if is_icmp {
                    bytes = vec![kind, code, 0, 0];
                }
                bytes.extend([0, 20, 0, 0, first, second, 0, 0, 0x50, flags]);
                bytes.resize(bytes.len() + rest, 0x41);
                bytes
            },
        )
}

/// A header and what follows it.
fn behind(header: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    (header, transport())
        .prop_map(|(header, rest)| [header, rest].concat())
        .boxed()
}

fn body() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let (v4, v6) = (behind(ipv4().boxed()), behind(ipv6().boxed()));
    prop_oneof![
        8 => v4.clone().prop_map(|bytes| (0x0800, bytes)),
        8 => v6.clone().prop_map(|bytes| (0x86dd, bytes)),
        2 => (u16_of(Field::Ethertype), prop_oneof![v4, v6]),
        1 => (u16_of(Field::Ethertype), proptest::collection::vec(any::<u8>(), 0..64)),
    ]
}

/// A frame of at least 14 bytes: whole, tagged in any way, or cut anywhere.
pub fn frame() -> impl Strategy<Value = Vec<u8>> {
    let tag = |ethertype: u16| {
        u16_of(Field::VlanId)
            .prop_map(move |id| (ethertype, id))
            .boxed()
    };
    let any_tag = prop_oneof![6 => tag(0x8100), 1 => tag(0x88a8), 1 => tag(0x9100)].boxed();
    let tags = prop_oneof![
        5 => Just(Vec::new()),
        2 => any_tag.clone().prop_map(|one| vec![one]),
        1 => proptest::collection::vec(any_tag, 2..=2),
    ];
    let cut = prop_oneof![2 => Just(None), 1 => (0_usize..100).prop_map(Some)];
    (pool(Field::DstMac), pool(Field::SrcMac), tags, body(), cut).prop_map(
        |(dst, src, tags, (ethertype, body), cut)| {
            let mut frame = Vec::new();
            frame.extend(&dst.to_be_bytes()[10..]);
            frame.extend(&src.to_be_bytes()[10..]);
            for (kind, id) in tags {
                frame.extend(kind.to_be_bytes());
                frame.extend((id | 0x6000).to_be_bytes());
            }
            frame.extend(ethertype.to_be_bytes());
            frame.extend(body);
            frame.truncate(cut.map_or(frame.len(), |at| (14 + at).min(frame.len())));
            frame
        },
    )
}
