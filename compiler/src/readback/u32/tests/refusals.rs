//! What is not understood, or what the kernel or tc would refuse, is named with its line.

use super::{ALL, HOLD, refusal};

/// Each batch, and words of the reason for refusing its last line.
#[test]
fn what_is_not_understood_is_refused() {
    let table = format!("{ALL} handle 2: u32 divisor 4\n");
    let rule = "u32 match u32 0 0 at 0";
    for (text, reason) in [
        // Not filters on this hook.
        ("class add dev vif0".to_owned(), "`class add`"),
        ("filter replace dev vif0".to_owned(), "`filter replace`"),
        ("filter del dev vif0 ingress".to_owned(), "`filter del`"),
        (
            "qdisc add dev vif0 root pfifo".to_owned(),
            "not the ingress hook",
        ),
        (
            format!("filter add dev vif0 egress pref 1 protocol ip {rule}"),
            "not on the ingress",
        ),
        (
            format!("filter add dev vif0 pref 1 protocol ip {rule}"),
            "not on the ingress",
        ),
        (
            format!("filter add block 7 pref 1 protocol ip {rule}"),
            "`block`",
        ),
        (
            format!("filter add dev vif0 ingress protocol ip {rule}"),
            "no preference",
        ),
        (
            format!("filter add dev vif0 ingress pref 0 protocol ip {rule}"),
            "no preference",
        ),
        (
            format!("filter add dev vif0 ingress pref 65536 protocol ip {rule}"),
            "`65536`",
        ),
        (
            format!("filter add dev vif0 ingress pref 1 protocol nonsense {rule}"),
            "`nonsense`",
        ),
        (
            format!("filter add dev vif0 ingress chain 1 pref 1 protocol ip {rule}"),
            "of other chains only flower",
        ),
        (
            format!("filter add dev vif0 ingress chain 268435456 pref 1 protocol ip {rule}"),
            "`268435456`",
        ),
        (
            "filter add dev vif0 ingress pref 1 protocol ip flower".to_owned(),
            "no handle is given",
        ),
        (
            "filter add dev vif0 ingress pref 1 protocol ip basic".to_owned(),
            "`basic`",
        ),
        (format!("{ALL} {rule} action goto chain 0"), "`0`"),
        (
            format!("{ALL} {rule} action goto table 1"),
            "only `goto chain`",
        ),
        (format!("{ALL} pref 11 {rule}"), "given twice"),
        (format!("{ALL} \"u32\" match u32 0 0"), "quotes"),
        // Rules.
        (format!("{ALL} u32"), "needs a `match`"),
        (format!("{ALL} u32 flowid :1"), "needs a `match`"),
        (format!("{ALL} u32 match ip dport 5 0xffff"), "`match ip`"),
        (format!("{ALL} u32 match mark 5 0xffff"), "`match mark`"),
        (
            format!("{ALL} u32 match u32 0 0 at nexthdr+0"),
            "`nexthdr+0`",
        ),
        (format!("{ALL} u32 match u32 0 0 at 2"), "multiple of 4"),
        (format!("{ALL} u32 match u8 256 0xff at 2"), "`256`"),
        (format!("{ALL} u32 match u8 1 0x1ff at 2"), "`0x1ff`"),
        (
            format!("{ALL} u32 match u32 0x100000000 0xff at 0"),
            "`0x100000000`",
        ),
        (format!("{ALL} u32 match u32 0 0 at -20"), "`-20`"),
        (format!("{ALL} u32 match u32 0 0 at 40000"), "`40000`"),
        (format!("{ALL} u32 match u32 1"), "nothing stands behind"),
        (
            format!("{ALL} u32 match u8 1 1 at 0 match u8 0 1 at 0"),
            "contradict",
        ),
        (
            format!("{ALL} u32 match u16 1 1 at -16 flowid :1"),
            "bytes at -16",
        ),
        (
            format!("{ALL} u32 match u32 1 1 at 72 flowid :1"),
            "bytes at 72",
        ),
        (
            format!("{ALL} {rule} offset at 0 mask 0x0f00 shift 6"),
            "`offset`",
        ),
        (format!("{ALL} {rule} indev vif0"), "`indev`"),
        (format!("{ALL} {rule} skip_sw"), "`skip_sw`"),
        (format!("{ALL} {rule} police rate 1mbit"), "`police`"),
        (format!("{ALL} {rule} action"), "the action ``"),
        (format!("{ALL} {rule} action pipe"), "the action `pipe`"),
        (
            format!("{ALL} {rule} action mirred egress mirror dev ifb0"),
            "mirred",
        ),
        (
            format!("{ALL} {rule} action mirred ingress redirect dev ifb0"),
            "mirred",
        ),
        (
            format!("{ALL} {rule} {HOLD} action pass"),
            "`action` behind an action",
        ),
        (
            format!("{ALL} {rule} {HOLD} index 3"),
            "`index` behind an action",
        ),
        // Handles and tables.
        (format!("{ALL} handle 2 {rule}"), "no handle"),
        (format!("{ALL} handle ::1000 {rule}"), "no handle"),
        (format!("{ALL} handle 800: {rule}"), "node id from 1"),
        (
            format!("{ALL} handle 801::1 {rule}"),
            "not one of table 800",
        ),
        (
            format!("{ALL} handle ::1 {rule}\n{ALL} handle 800::1 {rule}"),
            "there already",
        ),
        (
            format!("{table}{ALL} handle 2:1:1 u32 ht 2:2: match u32 0 0"),
            "bucket 2",
        ),
        (
            format!("{table}{ALL} handle 2:1:1 {rule}"),
            "not one of table 800",
        ),
        (
            format!("{table}{ALL} u32 ht 2:4: match u32 0 0"),
            "has 4 buckets",
        ),
        (format!("{table}{table}"), "there already"),
        (format!("{ALL} u32 ht 3: match u32 0 0"), "not there yet"),
        (format!("{ALL} {rule} link 3:"), "not there yet"),
        (format!("{ALL} {rule} link 800:"), "is a root"),
        (format!("{ALL} {rule} link 2:1:"), "`2:1:`"),
        (format!("{ALL} handle 2: u32 divisor 3"), "`3`"),
        (format!("{ALL} handle 2: u32 divisor 512"), "`512`"),
        (format!("{ALL} handle 900: u32 divisor 4"), "numbers none"),
        (format!("{ALL} handle 2:1: u32 divisor 4"), "nothing else"),
        (
            format!("{ALL} handle 2: u32 divisor 4 match u32 0 0"),
            "nothing else",
        ),
        (format!("{ALL} {rule} hashkey mask 0xff at 2"), "`2`"),
        (
            format!(
                "{table}{ALL} u32 ht 2:1: match u32 0 0\n{ALL} {rule} link 2: hashkey mask 0xff at 72"
            ),
            "bytes at 72",
        ),
        // Preferences.
        (
            format!("{ALL} {rule}\nfilter add dev vif0 ingress pref 10 protocol ip {rule}"),
            "another protocol",
        ),
        (
            format!("{ALL} {rule}\n{ALL} matchall action pass"),
            "is taken",
        ),
        (
            format!("{ALL} matchall action pass\n{ALL} {rule}"),
            "has another classifier already",
        ),
    ] {
        let (line, named) = refusal(&text);
        assert!(named.contains(reason), "`{text}`: {named}");
        assert_eq!(line, text.lines().count(), "`{text}`");
    }
}

#[test]
fn the_2049th_rule_of_a_bucket_needs_a_handle() {
    let rule = format!("{ALL} u32 match u32 0 0 at 0\n");
    let (line, reason) = refusal(&rule.repeat(2049));
    assert_eq!(line, 2049);
    assert!(reason.contains("is full"), "{reason}");
}

#[test]
fn a_rule_has_at_most_128_keys() {
    let keys: String = (0..129)
        .map(|n| format!(" match u32 0 0 at {}", n * 4))
        .collect();
    let (_, reason) = refusal(&format!("{ALL} u32{keys}"));
    assert!(reason.contains("128 keys"), "{reason}");
}
