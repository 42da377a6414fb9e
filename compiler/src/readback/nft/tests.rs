//! Rulesets by hand whose sets are known. What the kernel does with such rules was measured frame
//! by frame on 6.18; random rules are compared with the kernel in the kernel tests.

use policy_lang::field::{Base, Family, Place, Transport};
use policy_lang::set::Space;
use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, SpaceFull};
use proptest::prelude::*;

use super::{read_json, read_text};
use crate::hook;
use crate::readback::{Outcome, ReadbackError};

fn space() -> Space {
    Space::new(1 << 18).unwrap()
}

/// A chain at the hook with these rules, behind which everything is held.
fn chain(declarations: &str, rules: &str) -> String {
    format!(
        "table netdev g {{\n{declarations}\nchain ingress {{\n\
         type filter hook ingress device \"vif1.0\" priority filter; policy drop;\n\
         {rules}\nfwd to \"ifb0\"\n}}\n}}\n"
    )
}

fn read(space: &Space, text: &str) -> Outcome {
    let outcome =
        read_text(space, text, "vif1.0").unwrap_or_else(|error| panic!("{error}\n{text}"));
    is_partition(space, &outcome).unwrap();
    outcome
}

fn bypass(space: &Space, rules: &str) -> PacketSet {
    read(space, &chain("", rules)).bypass
}

fn is_partition(space: &Space, outcome: &Outcome) -> Result<(), SpaceFull> {
    let parts = [&outcome.bypass, &outcome.dropped];
    let mut all = space.none();
    for part in parts.into_iter().chain(outcome.held.values()) {
        assert!(
            space.intersection(&all, part)?.is_empty(),
            "the parts overlap"
        );
        all = space.union(&all, part)?;
    }
    assert!(all == space.all(), "a frame has no fate");
    Ok(())
}

/// Two rules let the same frames pass.
fn same(first: &str, second: &str) {
    let space = space();
    let (a, b) = (bypass(&space, first), bypass(&space, second));
    let witness = space.difference(&a, &b).unwrap();
    assert_eq!(witness, None, "`{first}` against `{second}`");
}

fn frame(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| u8::try_from(digit).unwrap())
        .collect();
    let mut frame = vec![0x02; 12];
    frame.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    frame
}

fn reason(text: &str) -> String {
    match read_text(&space(), text, "vif1.0") {
        Err(ReadbackError::NotUnderstood { reason, .. }) => reason,
        other => panic!("{other:?}\n{text}"),
    }
}

#[test]
fn a_media_rule_is_the_set_of_its_packets() {
    let space = space();
    let rules = "@ll,96,16 != 0x88a8 meta protocol ip meta length >= 28 @nh,0,8 0x45 \
                 @nh,48,16 & 0x3fff == 0 @nh,72,8 17 @nh,176,16 16384-32767 counter accept";
    let plain = space.plain(Family::V4, Transport::Udp, 0).unwrap();
    let port = Place {
        base: Base::Network,
        bit: 176,
        width: 16,
    };
    let media = space.bits_in(port, &ValueSet::range(16384, 32767)).unwrap();
    let media = space.intersection(&plain, &media).unwrap();
    let outcome = read(&space, &chain("", rules));
    assert_eq!(space.difference(&outcome.bypass, &media).unwrap(), None);
    // All else that comes is held, and what the kernel refuses before the hook is lost.
    let lost = space.complement(&hook::delivered(&space).unwrap()).unwrap();
    assert!(outcome.dropped == lost);
    assert_eq!(outcome.held.keys().collect::<Vec<_>>(), ["ifb0"]);
}

#[test]
fn listed_and_written_rules_are_one() {
    same(
        "meta protocol ip @nh,0,8 0x45 accept",
        "ip version 4 ip hdrlength 5 accept",
    );
    same(
        "meta protocol ip @nh,48,16 & 0x3fff == 0 accept",
        "ip frag-off & 16383 == 0 accept",
    );
    same(
        "meta protocol ip @nh,72,8 17 accept",
        "ip protocol udp accept",
    );
    same(
        "meta protocol 0x86dd @nh,4,6 46 accept",
        "ip6 dscp ef accept",
    );
    same(
        "meta protocol ip6 @nh,0,16 & 0x0fc0 == 0x0b80 accept",
        "ip6 dscp 0x2e accept",
    );
    same("@nh,0,12 5 accept", "@nh,0,16 & 0xfff0 == 0x50 accept");
    same(
        "@nh,4,4 { 5, 7-9 } accept",
        "@nh,0,8 & 0xf == { 5, 7-255 } @nh,0,8 & 0xf <= 9 accept",
    );
    same(
        "meta protocol ip @nh,96,8 10 accept",
        "ip saddr 10.0.0.0/8 accept",
    );
    same(
        "ip6 saddr { 2001:db8::-2001:db8::7 } accept",
        "ip6 saddr & ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff8 == 2001:db8:: accept",
    );
    same(
        "ether type vlan @ll,112,16 & 0xfff == 5 accept",
        "vlan id 5 accept",
    );
    same(
        "ether type vlan ip ttl 5 accept",
        "@ll,96,16 0x8100 meta protocol ip @nh,64,8 5 accept",
    );
    same(
        "@nh,160,8 & 0x5a 0x12 accept",
        "@nh,160,8 & 0x1a == 0x12 @nh,160,8 & 0x40 != 64 accept",
    );
    same(
        "ip protocol != { tcp, udp } accept",
        "ip protocol vmap { 6 : continue, 17 : continue, * : accept }",
    );
}

#[test]
fn a_load_beyond_the_end_ends_the_rule_only() {
    let space = space();
    let rules = "@nh,0,16 != 5 accept\n@nh,8,8 < 300 drop";
    assert!(reason(&chain("", rules)).contains("does not fit"));
    let first = bypass(&space, "@nh,0,16 != 5 accept\n@nh,0,8 >= 0 accept");
    // One byte behind: the first rule can't load, the second can.
    assert!(space.contains(&first, &frame("0900 00")));
    assert!(!space.contains(&first, &frame("0900")));
    // A prefix of whole bytes loads no more than these.
    let short = frame(&format!("0800 45{}", "0a".repeat(12)));
    assert!(space.contains(&bypass(&space, "ip saddr 10.0.0.0/8 accept"), &short));
    assert!(space.contains(&bypass(&space, "ip saddr { 10.0.0.0/8 } accept"), &short));
    for whole in [
        "ip saddr 10.0.0.0/9 accept",
        "ip saddr & 255.0.0.0 == 10.0.0.0 accept",
        "ip saddr { 10.0.0.0/8, 12.0.0.0/8 } accept",
        "ip saddr != 11.0.0.1 accept",
    ] {
        assert!(!space.contains(&bypass(&space, whole), &short), "{whole}");
    }
}

/// The rows are expressions, the columns frames, as they were measured on 6.18.
#[test]
fn tags_are_seen_as_they_were_measured() {
    let ip = "45000020 00000000 40110000 0a000002 0a000001 1000 2000 000c 0000 41414141";
    let llc = "0028 4242 0300 0000 0000";
    let frames = [
        ("ip", frame(&format!("0800 {ip}"))),
        ("llc", frame(llc)),
        ("8100+ip", frame(&format!("8100 0005 0800 {ip}"))),
        ("8100+llc", frame(&format!("8100 0005 {llc}"))),
        (
            "8100+8100+ip",
            frame(&format!("8100 0005 8100 0006 0800 {ip}")),
        ),
        ("88a8+ip", frame(&format!("88a8 0005 0800 {ip}"))),
        (
            "8100+88a8+ip",
            frame(&format!("8100 0005 88a8 0006 0800 {ip}")),
        ),
        (
            "88a8+8100+ip",
            frame(&format!("88a8 0005 8100 0006 0800 {ip}")),
        ),
        ("9100+ip", frame(&format!("9100 0005 0800 {ip}"))),
    ];
    let measured = [
        ("ether type ip", "100000000"),
        ("ether type vlan", "001110100"),
        ("ether type 8021ad", "000001010"),
        ("vlan id 5", "001110100"),
        ("vlan id 0-4095", "001110100"),
        ("vlan type ip", "001000000"),
        ("vlan type 0x8100", "000010000"),
        ("meta protocol ip", "101001000"),
        ("meta protocol vlan", "000010010"),
        ("meta protocol 8021ad", "000000100"),
        ("meta protocol 0x0004", "010100000"),
        ("@ll,96,16 0x0800", "100000000"),
        ("@ll,96,16 0x8100", "001110100"),
        ("@ll,96,16 0x88a8", "000001010"),
        ("@ll,96,16 40", "010000000"),
        ("@ll,112,16 5", "001111111"),
        ("@ll,128,16 0x0800", "001001001"),
        ("@ll,128,16 0x8100", "000010010"),
        ("@ll,128,16 40", "000000000"),
        ("@ll,128,16 4", "000100000"),
        ("@ll,128,8 0", "100100000"),
        ("@nh,0,8 0x45", "101001000"),
        ("@nh,0,16 6", "000010110"),
        ("@ll,144,8 0x45", "001001001"),
        ("@ll,120,32 0x05080045", "001001001"),
    ];
    let space = space();
    for (expression, expected) in measured {
        let set = bypass(&space, &format!("{expression} accept"));
        for ((name, frame), expected) in frames.iter().zip(expected.bytes()) {
            assert_eq!(
                space.contains(&set, frame),
                expected == b'1',
                "{expression}: {name}"
            );
        }
    }
    let length = |at: usize| frames[at].1.len();
    for (at, bytes) in [
        (0, length(0) - 14),
        (2, length(2) - 18),
        (4, length(4) - 18),
        (5, length(5) - 18),
        (8, length(8) - 14),
    ] {
        let set = bypass(&space, &format!("meta length {bytes} accept"));
        assert!(space.contains(&set, &frames[at].1), "{}", frames[at].0);
    }
}

#[test]
fn verdicts_go_where_the_kernel_sends_them() {
    let space = space();
    let chains = "chain sub {\nip ttl 1 accept\nip ttl 2 return\nip ttl 3 drop\nip ttl 4 goto fin\n}\n\
                  chain fin {\nip ttl 4 @nh,72,8 17 fwd to ifb1\n}";
    let ttl =
        |byte: u8, protocol: u8| frame(&format!("0800 45000020 00000000 {byte:02x}{protocol:02x}"));
    let fate = |outcome: &Outcome, frame: &[u8]| {
        if space.contains(&outcome.bypass, frame) {
            return "bypass".to_owned();
        }
        let held = outcome
            .held
            .iter()
            .find(|(_, set)| space.contains(set, frame));
        held.map_or_else(|| "dropped".to_owned(), |(device, _)| device.clone())
    };
    let jumped = read(
        &space,
        &chain(chains, "ip version 4 jump sub\nip ttl 5 accept"),
    );
    let expected = [
        "ifb0", "bypass", "ifb0", "dropped", "ifb0", "bypass", "ifb0",
    ];
    for (at, expected) in (0..).zip(expected) {
        assert_eq!(fate(&jumped, &ttl(at, 6)), expected, "ttl {at}");
    }
    assert_eq!(fate(&jumped, &ttl(4, 17)), "ifb1");
    // Nothing comes back from a goto: the policy decides.
    let gone = read(
        &space,
        &chain(chains, "ip version 4 goto sub\nip ttl 5 accept"),
    );
    assert_eq!(fate(&gone, &ttl(5, 6)), "dropped");
    assert_eq!(fate(&gone, &ttl(2, 6)), "dropped");
    assert_eq!(fate(&gone, &ttl(1, 6)), "bypass");
    // `continue` goes on in the rule, a miss does not.
    let map = "ip ttl vmap { 1 : continue, 2 : jump sub, 7 : drop } accept\nip ttl 2 accept";
    let mapped = read(&space, &chain(chains, map));
    for (at, expected) in [(1, "bypass"), (2, "bypass"), (3, "ifb0"), (7, "dropped")] {
        assert_eq!(fate(&mapped, &ttl(at, 6)), expected, "ttl {at}");
    }
}

#[test]
fn sets_by_name_are_looked_up() {
    let space = space();
    let sets = "set ports { typeof @nh,72,8 . @nh,96,32 . @nh,176,16 ; flags interval\n\
                elements = { 0x11 . 0xa000000-0xaffffff . 0x4000-0x7fff,\n 17 . 11.0.0.0/8 . 5 comment \"x, }\",\n } }\n\
                map verdicts { type inet_proto : verdict; elements = { udp : accept, tcp counter packets 1 bytes 2 : drop } }";
    let bad = reason(&chain(
        sets,
        "@nh,72,8 . @nh,96,32 . @nh,176,16 @ports accept",
    ));
    assert!(bad.contains("11.0.0.0"), "{bad}");
    let sets = sets.replace("11.0.0.0/8", "0x0b000000/8");
    let a = read(
        &space,
        &chain(
            &sets,
            "ip protocol . ip saddr . @nh,176,16 @ports accept\nip protocol vmap @verdicts",
        ),
    );
    let b = read(&space, &chain("", "ip protocol 17 ip saddr 10.0.0.0-10.255.255.255 @nh,176,16 & 0xc000 == 0x4000 accept\n\
        ip saddr { 11.0.0.0-11.255.255.255, 12.0.0.0-11.0.0.0 } accept".replace(", 12.0.0.0-11.0.0.0", "").as_str()));
    assert!(!space.minus(&a.bypass, &b.bypass).unwrap().is_empty());
    let udp = bypass(&space, "ip protocol 17 accept");
    assert_eq!(space.difference(&a.bypass, &udp).unwrap(), None);
    let added = "table netdev g\ndelete table netdev g\ntable netdev g {\nset s { type ipv4_addr; }\n\
                 chain i { type filter hook ingress device vif1.0 priority -5; policy accept; }\n}\n\
                 add element netdev g s { 10.0.0.1, 10.0.0.2 }\nadd rule netdev g i ip saddr != @s drop\n";
    let kept = read(&space, added);
    let direct = "table netdev g { chain i { type filter hook ingress device vif1.0 priority 0; policy accept;\n\
                  ip saddr != { 10.0.0.1-10.0.0.2 } drop; } }";
    let direct = direct.replace("; } }", "\n}\n}");
    assert!(kept == read(&space, &direct));
}

#[test]
fn chains_are_asked_in_order_of_priority() {
    let space = space();
    let two = "table netdev a {\nchain x {\ntype filter hook ingress device vif1.0 priority 5; policy accept;\nip ttl 1 drop\n}\n}\n\
               table netdev b {\nchain y {\ntype filter hook ingress device vif1.0 priority 0; policy drop;\nip ttl 1-9 accept\n}\n\
               chain z {\ntype filter hook ingress device other priority 9; policy drop;\n}\n}\n\
               table inet f {\nchain forward {\ntype filter hook forward priority 0; policy drop;\nct state new { anything }\n}\n}\n";
    let outcome = read(&space, two);
    assert!(outcome.bypass == bypass(&space, "ip ttl 2-9 accept"));
    assert!(read_text(&space, two, "vif9.9").unwrap().dropped == read(&space, "").dropped);
    assert!(reason(&two.replace("priority 5", "priority 0")).contains("one priority"));
}

#[test]
fn what_is_not_understood_is_named() {
    let rules = [
        ("udp dport 5060 accept", "transport header"),
        ("@th,0,16 5 accept", "transport header"),
        ("meta l4proto udp accept", "`meta l4proto`"),
        ("ip saddr example accept", "`example`"),
        ("ip ttl 010 accept", "`010`"),
        ("ip ttl 300 accept", "does not fit"),
        ("ip ttl 9-5 accept", "range is empty"),
        ("ip ttl @nothing accept", "no such set"),
        ("jump nowhere", "no chain"),
        ("accept drop", "behind a verdict"),
        ("limit rate 5/second accept", "`limit`"),
        ("ip ttl 5 reject", "not known"),
        ("@nh,4,16 0x1200/8 accept", "prefix"),
        ("@nh,600,8 5 accept", "further into the frame"),
        ("@nh,0,129 5 accept", "1 to 128 bits"),
        ("ip6 dscp . ip6 nexthdr { ef . tcp } accept", "shifts"),
        (
            "meta length . ip ttl { 5 . 5 } accept",
            "length in a concatenation",
        ),
        ("ip dscp & 0x38 == 0x28 accept", "masks bits"),
        ("meta length 65535 accept", "not told apart"),
        ("ip saddr . ip daddr 1.2.3.4 accept", "needs a set"),
        ("ip ttl 5 ip6 hoplimit 5 accept", "two protocols"),
        (
            "ether saddr 02:00:00:00:00:01 ip ttl 5 accept",
            "behind an `ether`",
        ),
        ("ip ttl vmap { 1-5 : accept, 5 : drop }", "overlap"),
        ("ip ttl . ip dscp { 5 . 5 . 5 } accept", "other parts"),
        ("(@nh,0,8 & 0xf0) >> 4 == 5 accept", "not known"),
    ];
    for (rule, expected) in rules {
        let found = reason(&chain("", rule));
        assert!(found.contains(expected), "{rule}: {found}");
    }
    let circle = "chain a {\njump b\n}\nchain b {\ngoto a\n}";
    assert!(reason(&chain(circle, "jump a")).contains("circle"));
    let sets = "set s { type ipv4_addr; flags interval,timeout; }";
    assert!(reason(&chain(sets, "")).contains("no fixed meaning"));
    assert!(
        reason(
            "table inet t {\nchain c {\ntype filter hook ingress device vif1.0 priority 0;\n}\n}"
        )
        .contains("another family")
    );
}

#[test]
fn a_fault_shows_its_line() {
    let text = chain("", "ip ttl 1 accept\n  ip ttl 2 log   # comment");
    let error = read_text(&space(), &text, "vif1.0").unwrap_err();
    let ReadbackError::NotUnderstood { line, text, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((line, text.as_str()), (6, "ip ttl 2 log   # comment"));
}

#[test]
fn json_is_read_like_text() {
    let space = space();
    let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
      {"table": {"family": "netdev", "name": "g", "handle": 2}},
      {"set": {"family": "netdev", "name": "s", "table": "g", "type": ["ipv4_addr", "integer"], "flags": ["interval"],
        "elem": [{"concat": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, {"range": [1, 1023]}]}, {"elem": {"val": {"concat": ["10.1.2.3", 2000]}, "comment": "x"}}]}},
      {"chain": {"family": "netdev", "table": "g", "name": "i", "handle": 3, "type": "filter", "hook": "ingress", "prio": 0, "policy": "drop"}},
      {"rule": {"family": "netdev", "table": "g", "chain": "i", "handle": 18, "expr": [
        {"match": {"op": "==", "left": {"concat": [{"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"base": "nh", "offset": 176, "len": 16}}]}, "right": "@s"}},
        {"counter": {"packets": 0, "bytes": 0}}, {"accept": null}]}},
      {"rule": {"family": "netdev", "table": "g", "chain": "i", "handle": 19, "expr": [
        {"match": {"op": "!=", "left": {"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, 16383]}, "right": 0}},
        {"vmap": {"key": {"meta": {"key": "length"}}, "data": {"set": [[{"range": [0, 27]}, {"drop": null}], ["*", {"continue": null}]]}}},
        {"fwd": {"dev": "ifb0"}}]}}]}"#;
    let text = "table netdev g {\nset s { type ipv4_addr . integer\n flags interval\n elements = { 10.0.0.0/8 . 0x1-0x3ff, 10.1.2.3 . 0x7d0 comment \"x\" } }\n\
        chain i {\ntype filter hook ingress device \"vif1.0\" priority filter; policy drop;\nip saddr . @nh,176,16 @s counter packets 0 bytes 0 accept\n\
        ip frag-off & 16383 != 0 meta length vmap { 0-27 : drop, * : continue } fwd to \"ifb0\" # handle 19\n}\n}";
    let from_json = read_json(&space, json, "vif1.0").unwrap();
    assert!(from_json == read(&space, text));
    let error = read_json(&space, &json.replace("saddr", "nothing"), "vif1.0").unwrap_err();
    assert!(
        matches!(error, ReadbackError::NotUnderstood { line: 5, .. }),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Damaged rules are read or refused; nothing panics.
    #[test]
    fn damaged_text_is_no_trouble(
        cuts in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..6, 0_usize..14), 1..6),
    ) {
        const PIECES: [&str; 14] = [
            "{", "}", "0", "65536", "-", "/", ".", "@", "@nh,4,128", "& 0xff", "!=", "*", ":", "vmap",
        ];
        let sets = "set s { typeof @nh,72,8 . ip saddr; flags interval; elements = { 17 . 10.0.0.0/8 } }";
        let rules = "meta length 5-9 @nh,72,8 . ip saddr @s vlan id { 5, 7-9 } accept\n\
                     ip ttl vmap { 1 : drop, * : continue } ip6 saddr 2001:db8::/33 return";
        let mut text = chain(sets, rules);
        for (at, removed, piece) in cuts {
            let start = at.index(text.len());
            let end = (start + removed).min(text.len());
            text.replace_range(start..end, PIECES[piece]);
        }
        let _ = read_text(&space(), &text, "vif1.0");
    }
}

#[test]
fn thousands_of_elements_are_soon_read() {
    let space = Space::new(1 << 22).unwrap();
    let elements: Vec<String> = (0_u32..3_000)
        .map(|at| {
            format!(
                "17 . 0x{:x}-0x{:x} . {}-{}",
                at << 12,
                (at << 12) + 0xfff,
                at * 19,
                at * 19 + 7
            )
        })
        .collect();
    let sets = format!(
        "set s {{ typeof @nh,72,8 . @nh,96,32 . @nh,176,16 ; flags interval; elements = {{ {} }} }}",
        elements.join(", ")
    );
    let text = chain(&sets, "@nh,72,8 . @nh,96,32 . @nh,176,16 @s accept");
    let begun = std::time::Instant::now();
    let outcome = read_text(&space, &text, "vif1.0").unwrap();
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    let last = format!(
        "0800 4500 0000 0000 0000 4011 0000 00bb7123 {}",
        "0000 0000 0000"
    );
    let mut last = frame(&last);
    last.extend((2_999_u16 * 19 + 7).to_be_bytes());
    assert!(space.contains(&outcome.bypass, &last));
    last.pop();
    assert!(!space.contains(&outcome.bypass, &last));
}
