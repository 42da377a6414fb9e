//! Listings with one thing wrong each, and hostile ones.

use policy_lang::source::SourceFile;
use proptest::prelude::*;

use super::*;
use crate::compile::{Request, compile};

const POLICY: &str = "buffer tcp; bypass udp dport 16384-32767; bypass arp;";

fn policy() -> Policy {
    policy_lang::check(&SourceFile::new("p.gate", POLICY))
        .0
        .unwrap()
}

fn vif() -> Device {
    Device::new("vif1.0").unwrap()
}

fn ifb() -> Device {
    Device::ifb_for(&vif())
}

const LINKS: &str = r#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"]},
{"ifindex":2,"ifname":"vif1.0","flags":["BROADCAST","UP","LOWER_UP"],"linkinfo":{"info_kind":"veth"}},
{"ifindex":3,"ifname":"ifb-vif1.0","flags":["BROADCAST","NOARP","UP"],"linkinfo":{"info_kind":"ifb"},
"ifalias":"epochgate:vif1.0:nft:00:67108864:rx12"}]"#;

const QDISCS: &str = r#"[{"kind":"noqueue","handle":"0:","dev":"vif1.0","root":true},
{"kind":"plug","handle":"8001:","dev":"ifb-vif1.0","root":true,"refcnt":2,"options":{},"bytes":900,
"packets":9,"drops":0,"overlimits":0,"requeues":0,"backlog":840,"qlen":12}]"#;

const LATER: &str = r#"[{"kind":"plug","handle":"8001:","root":true,"drops":0,"backlog":840}]"#;

/// What nft lists is what it was given, less the comments.
fn rules() -> String {
    let policy = policy();
    let compiled = compile(&Request {
        policy: &policy,
        name: "p.gate",
        text: POLICY,
        backend: Kind::Nft,
        vif: vif(),
        ifb: ifb(),
    });
    let rules = compiled.unwrap().rules;
    let at = rules.rfind("table netdev").unwrap();
    rules.get(at..).unwrap().to_owned()
}

const HOOKS: &str = "family netdev {\n\thook ingress {\n\t\t 0000000000 chain netdev \
                     epochgate_vif1_2e0 ingress [nf_tables]\n\t}\n}\n";

/// A deployment in which nothing is wrong.
fn whole() -> Listing {
    let texts = [LINKS, QDISCS, "", &rules(), HOOKS, HOOKS, LATER].map(str::to_owned);
    let outputs = commands(&vif(), &ifb()).into_iter().zip(texts);
    Listing {
        vif: vif(),
        ifb: ifb(),
        outputs: outputs
            .map(|(command, text)| Output {
                command: command.join(" "),
                text,
                code: 0,
            })
            .collect(),
    }
}

fn judge(listing: &Listing) -> Result<Audit, AuditError> {
    let policy = policy();
    let subject = Subject {
        policy: &policy,
        vif: listing.vif.clone(),
        ifb: listing.ifb.clone(),
        backend: None,
    };
    audit(&subject, listing)
}

fn codes(listing: &Listing) -> Vec<&'static str> {
    let audit = judge(listing).unwrap();
    assert_eq!(audit.proved.is_some(), audit.findings.is_empty());
    audit
        .findings
        .iter()
        .map(|found| found.code.as_str())
        .collect()
}

/// The listing with one text in one of its outputs changed.
fn with(output: usize, old: &str, new: &str) -> Listing {
    let mut listing = whole();
    let text = &mut listing.outputs.get_mut(output).unwrap().text;
    assert!(text.contains(old), "{old} is not in {text}");
    *text = text.replace(old, new);
    listing
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let audit = judge(&whole()).unwrap();
    assert_eq!(audit.findings, []);
    assert_eq!(audit.backend, Kind::Nft);
    assert_eq!(audit.numbers.held_packets, 12);
    assert_eq!(audit.numbers.held_bytes, 840);
}

/// As the module says it, less what nobody looks at here.
const STATE: &str = r#"{"qdisc":"epochgate","module":{"limit":67108864,"is_open":false,
"settings":{"watchdog":500,"late":"hold"}}}"#;

const MODULE_CASES: &[(&str, &str, &[&str])] = &[
    ("x", "x", &[]),
    ("67108864", "0", &["A0308"]),
    ("67108864", "48448", &["A0308"]),
    ("67108864", "99999999999", &[]),
    (r#""is_open":false"#, r#""is_open":true"#, &["A0309"]),
    ("hold", "open", &["A0310"]),
    ("hold", "abort", &[]),
    (r#"500,"late":"hold""#, r#"0,"late":"open""#, &[]),
    ("settings", "other", &["A0311"]),
    ("\"epochgate\"", "\"plug\"", &["A0311"]),
];

/// A deployment with our module in the place of plug, as tc and our program list it.
fn with_module(state: &str) -> Listing {
    let options = r#""options":{[Unknown qdisc, optlen=296] }"#;
    let mut listing = with(1, r#""options":{}"#, options);
    let qdiscs = &mut listing.outputs.get_mut(1).unwrap().text;
    *qdiscs = qdiscs.replace("\"plug\"", "\"epochgate\"");
    listing.outputs.push(Output {
        command: status_command(&ifb()),
        text: state.to_owned(),
        code: 0,
    });
    listing
}

#[test]
fn a_module_that_was_not_asked_is_blind() {
    let mut listing = with_module(STATE);
    listing.outputs.pop();
    assert_eq!(codes(&listing), ["A0311"]);
    assert_eq!(judge(&listing).unwrap().numbers.held_packets, 12);
}

#[test]
fn each_trouble_is_found_and_nothing_else() {
    let (links, qdiscs, filters, ruleset, hooks) = (0, 1, 2, 3, 4);
    let foreign = "table inet o {\n\tchain c {\n\t\ttype filter hook ingress device \"vif1.0\" \
                   priority filter; policy accept;\n\t}\n}\ntable netdev";
    let flowtable = "table inet o {\n\tflowtable f {\n\t\thook ingress priority filter\n\t\tdevices \
                     = { vif1.0, eth0 }\n\t}\n}\ntable netdev";
    let egress = "table netdev o {\n\tchain c {\n\t\ttype filter hook egress device \
                  \"ifb-vif1.0\" priority filter; policy accept;\n\t}\n}\ntable netdev";
    let cases: &[(usize, &str, &str, &[&str])] = &[
        (
            links,
            r#""ifname":"vif1.0""#,
            r#""ifname":"vif5""#,
            &["A0101"],
        ),
        (
            links,
            r#""ifname":"vif1.0","#,
            r#""ifname":"vif1.0","xdp":{"mode":2,"prog":{"id":7}},"#,
            &["A0102"],
        ),
        (
            qdiscs,
            "[{",
            r#"[{"kind":"clsact","dev":"vif1.0","ingress_block":22},{"#,
            &["A0103"],
        ),
        (ruleset, "\"vif1.0\"", "\"vif9\"", &["A0201", "A0209"]),
        (
            ruleset,
            "epochgate_vif1_2e0",
            "other",
            &["A0201", "A0205", "A0209"],
        ),
        (hooks, "epochgate_vif1_2e0", "other", &["A0203", "A0209"]),
        (
            filters,
            "",
            "filter protocol all pref 7 bpf chain 0 \nfilter protocol all pref 7 bpf chain 0 \
             handle 0x1 flowid :1 not_in_hw bytecode '1,6 0 0 4294967295'\n",
            &["A0204"],
        ),
        (ruleset, "table netdev", foreign, &["A0205"]),
        (ruleset, "table netdev", flowtable, &["A0205"]),
        (
            filters,
            "",
            "filter protocol all pref 1 bpf chain 0 \nfilter protocol all pref 1 bpf chain 0 \
             handle 0x1 flowid :1 not_in_hw bytecode '1,6 0 0 4294967295'\n\taction order 1: \
             mirred (Egress Redirect to device ifb-vif1.0) stolen\n",
            &["A0206"],
        ),
        (links, "nft:00:67108864:rx12", "swap:rx12", &["A0207"]),
        (ruleset, "policy drop", "policy accept", &[]),
        (ruleset, "goto other", "accept", &["A0209"]),
        (ruleset, "goto other", "drop", &["A0210"]),
        (ruleset, "goto other", "ct state new accept", &["A0211"]),
        (links, "ifb-vif1.0", "ifb7", &["A0301"]),
        (
            links,
            r#""info_kind":"ifb""#,
            r#""info_kind":"dummy""#,
            &["A0302"],
        ),
        (links, "epochgate:vif1.0", "epochgate:vif2.0", &["A0302"]),
        (links, r#""NOARP","UP""#, r#""NOARP""#, &["A0303"]),
        (qdiscs, r#""kind":"plug""#, r#""kind":"pfifo""#, &["A0304"]),
        (ruleset, "\"ifb-vif1.0\"", "35", &["A0305"]),
        (
            qdiscs,
            "[{",
            r#"[{"kind":"clsact","dev":"ifb-vif1.0"},{"#,
            &["A0306"],
        ),
        (ruleset, "table netdev", egress, &["A0306"]),
        (
            qdiscs,
            r#""packets":9,"drops":0,"overlimits":0,"requeues":0,"backlog":840"#,
            r#""packets":0,"drops":8,"backlog":0"#,
            &["A0307"],
        ),
    ];
    let mut seen = std::collections::BTreeSet::from(["A0202", "A0208"]);
    for (old, new, expected) in MODULE_CASES {
        let found = codes(&with_module(&STATE.replace(old, new)));
        assert_eq!(found, *expected, "{old} -> {new}");
        seen.extend(*expected);
    }
    for (output, old, new, expected) in cases {
        let listing = match old.is_empty() {
            true => {
                let mut listing = whole();
                listing.outputs.get_mut(*output).unwrap().text = (*new).to_owned();
                listing
            }
            false => with(*output, old, new),
        };
        assert_eq!(codes(&listing), *expected, "{old} -> {new}");
        seen.extend(expected.iter().copied());
    }
    // The two that are only about tc filters are made on a kernel, in tests/kernel/audit.rs.
    let all: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn the_manual_has_every_code() {
    let manual = include_str!("../../../docs/deploy.md");
    for code in Code::ALL {
        let (code, words) = (code.as_str(), code.effect().words());
        let row = manual
            .lines()
            .find(|line| line.starts_with(&format!("| {code} |")));
        assert!(
            row.is_some_and(|row| row.contains(&format!("| {words} |"))),
            "{code}"
        );
    }
}

#[test]
fn a_listing_is_read_as_it_was_written() {
    let text = whole().write();
    let read = Listing::read(&text).unwrap();
    assert_eq!(read.write(), text);
    assert_eq!(codes(&read), [""; 0]);
}

#[test]
fn what_is_missing_is_said() {
    let mut listing = whole();
    listing.outputs.remove(1);
    let said = judge(&listing).unwrap_err().to_string();
    assert_eq!(said, "`tc -j -s qdisc show` is not in the listing");
    let mut listing = whole();
    listing.outputs.get_mut(3).unwrap().code = 127;
    let said = judge(&listing).unwrap_err().to_string();
    assert_eq!(said, "`nft list ruleset` failed with code 127");
}

#[test]
fn listings_that_are_none_are_refused() {
    for (text, line) in [
        ("", 1),
        ("epochgate listing 2\n", 1),
        ("epochgate listing 1\nvif a b\n", 0),
        ("epochgate listing 1\nvif a\nifb b\n|x\n", 4),
        ("epochgate listing 1\nvif a\nifb b\n$ x\n", 5),
        ("epochgate listing 1\nvif a\nifb b\n$ x\n= 256\n", 5),
    ] {
        match Listing::read(text) {
            Err(BadListing::Form { line: at, .. }) => assert!(line == 0 || at == line, "{text:?}"),
            Err(BadListing::Name(_)) if line == 0 => {}
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

/// Pieces that mean something to the readers.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "table netdev epochgate_vif1_2e0 {\n",
            "\tchain ingress {\n",
            "\t\ttype filter hook ingress device \"vif1.0\" priority 0; policy drop;\n",
            "fwd to 35\n",
            "devices = { vif1.0 }\n",
            "flowtable f {\n",
            "}\n",
            "filter protocol all pref 65000 u32 chain 0 fh 800::1 order 1 key ht 800 bkt 0\n",
            "filter ",
            "filter protocol all pref 99999999999999 u32\n",
            "action order 1: mirred (Egress Redirect to device *) stolen\n",
            " Sent 0 bytes 0 pkt (dropped 0, overlimits 18446744073709551615 requeues 0)\n",
            "hook ingress device vif1.0 {\n chain netdev\n",
            "[{\"ifname\":\"vif1.0\",\"flags\":7}]",
            "[[[[",
            "\"",
            "{}",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
        Just("\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the tools print, there is an answer and no panic.
    #[test]
    fn hostile_outputs_have_an_answer(
        output in 0_usize..7,
        pieces in proptest::collection::vec(piece(), 0..12),
        code in prop_oneof![Just(0_u8), any::<u8>()],
    ) {
        let mut listing = whole();
        let changed = listing.outputs.get_mut(output).unwrap();
        changed.text = pieces.concat();
        changed.code = code;
        let _ = judge(&listing);
    }

    /// Whatever a file holds, there is an answer and no panic.
    #[test]
    fn hostile_listings_have_an_answer(
        lines in proptest::collection::vec(("[$|=!]?", ".{0,16}"), 0..12),
    ) {
        let mut text = String::from("epochgate listing 1\nvif vif1.0\nifb ifb0\n");
        for (sign, rest) in lines {
            text.push_str(&format!("{sign}{rest}\n"));
        }
        if let Ok(listing) = Listing::read(&text) {
            let _ = judge(&listing);
        }
    }
}
