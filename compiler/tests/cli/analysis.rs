//! The verbs that answer questions about every frame: what they say, and how they end.

use std::fs;

use crate::program::{run, run_with};

/// A ruleset by hand for the hook of `vif1.0`, with these rules.
fn by_hand(rules: &str) -> String {
    format!(
        "table netdev mine {{\n chain in {{\n  type filter hook ingress device \"vif1.0\" priority 0; \
         policy accept;\n{rules}\n }}\n}}\n"
    )
}

#[test]
fn the_rules_of_every_back_end_are_verified() {
    for backend in ["nft", "u32"] {
        let run = run(&["verify", "examples/voip.gate", "--backend", backend]).exits(0);
        assert!(run.out.contains("no leak: proved"), "{}", run.out);
        assert!(run.out.contains("equal: proved"), "{}", run.out);
    }
}

#[test]
fn rules_by_hand_are_verified_and_a_difference_is_a_frame() {
    let place = tempfile::tempdir().unwrap();
    let pcap = place.path().join("found.pcap");
    let policy = place.path().join("a.gate");
    fs::write(&policy, "default buffer;\n").unwrap();
    let policy = policy.to_str().unwrap();
    let verify = |rules: &str, more: &[&str]| {
        let args = [&["verify", policy, "--rules", "-"], more].concat();
        run_with(&args, by_hand(rules).as_bytes())
    };
    let held = "fwd to \"ifb-vif1.0\"";
    verify(held, &[]).exits(0);
    // To lose frames is no leak.
    let lost = verify("drop", &[]).exits(1);
    assert!(lost.out.contains("no leak: proved"), "{}", lost.out);
    assert!(lost.out.contains("equal: not true"), "{}", lost.out);
    assert!(lost.out.contains("rules   dropped"), "{}", lost.out);
    verify("drop", &["--no-leak"]).exits(0);
    let less = format!("@ll,96,16 0x0806 accept\n{held}");
    let leak = verify(&less, &["-w", pcap.to_str().unwrap()]).exits(1);
    assert!(leak.out.contains("no leak: not true"), "{}", leak.out);
    assert!(leak.out.contains("policy  buffer"), "{}", leak.out);
    assert!(leak.out.contains("rules   bypass"), "{}", leak.out);
    let explained = run(&["explain", policy, "--pcap", pcap.to_str().unwrap()]).exits(0);
    assert!(
        explained.out.contains("verdict  buffer"),
        "{}",
        explained.out
    );
    assert!(explained.out.contains("0x0806"), "{}", explained.out);
}

#[test]
fn what_is_not_understood_is_named() {
    let said = |rules: &str| {
        let run = run_with(
            &["verify", "examples/voip.gate", "--rules", "-"],
            rules.as_bytes(),
        );
        let run = run.exits(1);
        assert_eq!(run.out, "", "nothing is claimed");
        run.err
    };
    assert!(said("-A FORWARD -p tcp -j DROP\n").contains("line 1"));
    assert!(said("").contains("no rule"));
    let rules = by_hand("meta mark 7 accept");
    assert!(said(&rules).contains("meta mark 7"), "{}", said(&rules));
}

#[test]
fn a_change_is_told_and_order_is_none() {
    let old = "bypass arp; buffer tcp; bypass udp dport { 5004, 5006 }; # order\n";
    let same = "let media = { 5006, 5004 };\nbypass udp dport media;\nbypass arp;\n";
    let other = "bypass arp; bypass udp dport 5004; bypass tcp dport 80;";
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("old.gate");
    fs::write(&file, old).unwrap();
    let diff = |new: &str| run_with(&["diff", file.to_str().unwrap(), "-"], new.as_bytes());
    assert!(diff(same).exits(0).out.contains("treat every frame alike"));
    let told = diff(other).exits(1).out;
    assert!(
        told.contains("was held, now passes: tcp dport 80\n"),
        "{told}"
    );
    assert!(
        told.contains("passed, is now held: udp dport 5006\n"),
        "{told}"
    );
    assert_eq!(told.matches("  frame  ").count(), 2, "{told}");
    run(&["diff", "-", "-"]).exits(2);
}

#[test]
fn a_question_is_answered_with_the_policys_names() {
    let policy = b"let media = 5004-5007; bypass udp dport media; buffer tcp";
    let query = |condition: &[&str]| run_with(&[&["query", "-"], condition].concat(), policy);
    let all = query(&["udp", "dport", "media"]).exits(0).out;
    assert!(all.contains("bypass: 100 % of it\n    all of it"), "{all}");
    assert!(all.contains("buffer: no such frame"), "{all}");
    let some = query(&["udp dport 5000-5007"]).exits(0).out;
    assert!(
        some.contains("bypass: 50.00 % of it\n    dport 5004-5007"),
        "{some}"
    );
    assert!(
        some.contains("buffer: 50.00 % of it\n    dport 5000-5003"),
        "{some}"
    );
    assert!(query(&["udp dprt 5"]).exits(1).err.contains("dprt"));
    assert!(query(&["arp tcp"]).exits(1).err.contains("E0309"));
    query(&["arp; bypass tcp"]).exits(2);
}
