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
    assert!(
        lost.out.contains("rules   dropped: line 4, `drop`\n"),
        "{}",
        lost.out
    );
    verify("drop", &["--no-leak"]).exits(0);
    let less = format!("@ll,96,16 0x0806 accept\n{held}");
    let leak = verify(&less, &["-w", pcap.to_str().unwrap()]).exits(1);
    assert!(leak.out.contains("no leak: not true"), "{}", leak.out);
    assert!(leak.out.contains("policy  buffer"), "{}", leak.out);
    let by = "rules   bypass: line 4, `@ll,96,16 0x0806 accept`\n";
    assert!(leak.out.contains(by), "{}", leak.out);
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

#[test]
fn the_rule_that_decides_is_named_with_those_that_lead_to_it() {
    let place = tempfile::tempdir().unwrap();
    let policy = place.path().join("a.gate");
    fs::write(&policy, "default buffer;\n").unwrap();
    let policy = policy.to_str().unwrap();
    let verify = |rules: &str, more: &[&str]| {
        let args = [&["verify", policy, "--rules", "-"], more].concat();
        run_with(&args, rules.as_bytes()).exits(1).out
    };
    let chains = "table netdev mine {
        chain no { @ll,96,16 0x0807 accept; }
        chain more { @ll,96,16 0x0806 accept; }
        chain in {
            type filter hook ingress device \"vif1.0\" priority 0; policy accept;
            jump no
            jump more
            fwd to \"ifb-vif1.0\"
        }
    }
    ";
    let chains = chains.replace("0x0807 accept", "0x0807 drop");
    let told = verify(&chains, &[]);
    let by =
        "rules   bypass: line 3, `chain more { @ll,96,16 0x0806 accept; }`, by way of line 7\n";
    assert!(told.contains(by), "{told}");
    let filters = "filter add dev vif1.0 ingress pref 9 protocol all handle 1: u32 divisor 1
filter add dev vif1.0 ingress pref 9 protocol all handle ::1 u32 match u32 0 0 at -12 link 1:
filter add dev vif1.0 ingress pref 9 protocol all handle 1::2 u32 ht 1: match u16 0x0806 0xffff at -2 action pass
filter add dev vif1.0 ingress pref 10 protocol all matchall action mirred egress redirect dev ifb-vif1.0
";
    let told = verify(filters, &[]);
    assert!(
        told.contains("rules   bypass: line 3, `filter add"),
        "{told}"
    );
    assert!(told.contains("`, by way of line 2\n"), "{told}");
    let json = verify(filters, &["--json"]);
    assert!(json.contains("\"line\": 3"), "{json}");
    // What comes out of the end without a rule.
    let told = verify(
        "filter add dev vif1.0 ingress pref 9 protocol ip matchall action drop\n",
        &[],
    );
    assert!(told.contains("rules   bypass: no rule decides\n"), "{told}");
    // Filters of the other kinds have their lines as well, in a batch and in a listing.
    let text = "\nfilter add dev vif1.0 ingress pref 9 protocol arp matchall action pass\n\
                filter add dev vif1.0 ingress pref 11 protocol all matchall action drop\n";
    let told = verify(text, &[]);
    let by = "rules   bypass: line 2, `filter add dev vif1.0 ingress pref 9 protocol arp matchall";
    assert!(told.contains(by), "{told}");
    let text = "filter add dev vif1.0 ingress chain 10 pref 2 protocol arp handle 0x7 flower
filter add dev vif1.0 ingress chain 10 pref 3 protocol all handle 0x1 flower action drop
filter add dev vif1.0 ingress pref 10 protocol all handle ::1 u32 match u32 0 0 at -12 flowid :1 action goto chain 10
";
    let told = verify(text, &[]);
    let by = "rules   bypass: line 1, `filter add dev vif1.0 ingress chain 10 pref 2 protocol arp";
    assert!(told.contains(by), "{told}");
    assert!(told.contains("`, by way of line 3\n"), "{told}");
    let listing = "filter protocol arp pref 9 flower chain 0
filter protocol arp pref 9 flower chain 0 handle 0x1
  eth_type arp
  not_in_hw
filter protocol all pref 11 matchall chain 0
filter protocol all pref 11 matchall chain 0 handle 0x1
  not_in_hw
\taction order 1: gact action drop
\t random type none pass val 0
\t index 1 ref 1 bind 1
";
    let told = verify(listing, &[]);
    let by = "rules   bypass: line 2, `filter protocol arp pref 9 flower chain 0 handle 0x1`\n";
    assert!(told.contains(by), "{told}");
}

#[test]
fn a_policy_gets_simpler_and_says_why() {
    let long = b"# Two.\nbypass udp dport 5; bypass udp dport 6; # six\nbuffer tcp; let a = 1;\n";
    let simplify = |args: &[&str], text: &[u8]| run_with(&[&["simplify"], args].concat(), text);
    let told = simplify(&["-"], long).exits(0);
    assert_eq!(told.out, "# Two.\n# six\nbypass udp dport 5-6;\n");
    let why = "<stdin>:2:21: rule 2 is joined with rule 1 in line 2, which had another `dport`: \
               `bypass udp dport 6`
<stdin>:3:1: the policy is the same without rule 3: `buffer tcp`
<stdin>:3:13: nothing uses `a`: `let a = 1`
";
    assert!(told.err.ends_with(why), "{}", told.err);
    let check = simplify(&["--check", "-"], long).exits(1);
    assert_eq!(check.out, "<stdin>: 1 of 3 rules are enough\n");
    let fine = simplify(&["--check", "-"], told.out.as_bytes()).exits(0);
    assert_eq!(fine.out, "<stdin>: no simpler policy found\n");
    let names = simplify(&["--check", "-"], b"let a = 1; bypass arp;").exits(1);
    assert_eq!(
        names.out,
        "<stdin>: 1 of 1 rules are enough, and less besides\n"
    );
    simplify(&["-i", "-"], long).exits(2);
    simplify(&["-"], b"bypass").exits(0);
    simplify(&["-"], b"bypass nothing;").exits(1);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.gate");
    fs::write(&file, long).unwrap();
    run(&["simplify", "-i", file.to_str().unwrap()]).exits(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), told.out);
    let json = simplify(&["--error-format", "json", "-"], long).exits(0);
    assert!(
        json.err.lines().all(|line| line.starts_with('{')),
        "{}",
        json.err
    );
}

#[test]
fn the_examples_say_nothing_twice() {
    for name in ["paper", "remus"] {
        let path = format!("examples/{name}.gate");
        run(&["simplify", "--check", &path]).exits(0);
    }
}

#[test]
fn what_it_takes_for_the_other_verdict_is_shown() {
    let frame = "udp 10.0.0.2:5060 > 192.0.2.9:17000 rtp pt 0 len 172";
    let told = run(&["explain", "--why", "examples/voip.gate", frame])
        .exits(0)
        .out;
    assert!(
        told.contains("  flips    with sport 5060 -> 5059\n"),
        "{told}"
    );
    assert!(
        told.contains("  flips    without rule 2, `buffer udp port signalling"),
        "{told}"
    );
    let nothing = run_with(&["explain", "--why", "-", "arp"], b"default buffer;").exits(0);
    assert!(
        nothing.out.contains("no change of up to three parts"),
        "{}",
        nothing.out
    );
    assert!(
        nothing
            .out
            .contains("with `bypass ethertype 0x0806 src mac"),
        "{}",
        nothing.out
    );
}

#[test]
fn what_never_decides_is_allowed_by_its_code() {
    let check = |text: &str| run_with(&["check", "-"], text.as_bytes()).exits(0);
    let policy = "bypass arp; buffer arp;";
    assert!(check(policy).err.contains("W0302"));
    let allowed = check(&format!("{policy} allow W0302 because \"shown\";"));
    assert_eq!(allowed.err, "");
    let idle = check("bypass arp; allow W0302 because \"shown\";");
    assert!(
        idle.err.contains("`W0302` finds nothing here"),
        "{}",
        idle.err
    );
    assert!(
        check("bypass arp; allow W0201 because \"x\";")
            .err
            .contains("no lint")
    );
}

#[test]
fn a_gate_is_too_small_for_a_rate_that_is_given() {
    let policy = b"bypass arp; gate { interval 40ms; limit 1MiB; }";
    let check = |args: &[&str]| run_with(&[&["check", "-"], args].concat(), policy);
    assert_eq!(check(&[]).exits(0).err, "");
    let told = check(&["--rate", "1Gbit/s"]).exits(0).err;
    assert!(told.contains("warning[L0503]"), "{told}");
    assert!(told.contains("`limit 10MiB` is enough"), "{told}");
    assert_eq!(check(&["--rate", "10Mbit/s"]).exits(0).err, "");
    check(&["--rate", "fast"]).exits(2);
}
