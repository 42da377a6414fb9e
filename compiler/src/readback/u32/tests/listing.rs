//! What tc prints for loaded filters, by versions 6.1 and 6.18 and with and without statistics.

use policy_lang::Space;

use super::{ALL, HOLD, NODES, read_batch, read_listing, refused};

const LISTING: &str = "\
filter protocol all pref 10 u32 chain 0\x20
filter protocol all pref 10 u32 chain 0 fh 2: ht divisor 16\x20
filter protocol all pref 10 u32 chain 0 fh 2::800 order 2048 key ht 2 bkt 0 terminal flowid not_in_hw\x20
  match 00110000/00ff0000 at 8
\taction order 1: gact action drop
\t random type none pass val 0
\t index 1 ref 1 bind 1

filter protocol all pref 10 u32 chain 0 fh 2:5:1 order 1 key ht 2 bkt 5 *flowid :1 not_in_hw\x20
  match 00000007/0000ffff at 20
filter protocol all pref 10 u32 chain 0 fh 800: ht divisor 1\x20
filter protocol all pref 10 u32 chain 0 fh 800::1 order 1 key ht 800 bkt 0 link 2: not_in_hw\x20
  match 45000000/ff000000 at 0
    hash mask 0000000f at 20\x20
filter protocol all pref 10 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 not_in_hw\x20
  match 00000000/00000000 at -16
filter protocol [2989] pref 20 u32 chain 0\x20
filter protocol [2989] pref 20 u32 chain 0 fh 801: ht divisor 1\x20
filter protocol [2989] pref 20 u32 chain 0 fh 801::800 order 2048 key ht 801 bkt 0 *flowid 1:2 not_in_hw\x20
  match 00000000/00000000 at -12
filter protocol all pref 30 matchall chain 0\x20
filter protocol all pref 30 matchall chain 0 handle 0x1\x20
  not_in_hw
\taction order 1: mirred (Egress Redirect to device ifb0) stolen
\tindex 1 ref 1 bind 1

";

/// The batch that the listing belongs to.
fn batch() -> String {
    format!(
        "{ALL} handle 2: u32 divisor 16\n\
         {ALL} u32 ht 2: match u8 17 0xff at 9 action drop\n\
         {ALL} handle 2:5:1 u32 ht 2:5: match u16 7 0xffff at 22 flowid :1\n\
         {ALL} handle ::1 u32 match u8 0x45 0xff at 0 link 2: hashkey mask 0xf at 20\n\
         {ALL} u32 match u8 0 0 at -14\n\
         filter add dev vif0 ingress pref 20 protocol 0x0bad u32 match u32 0 0 at -12 flowid 1:2\n\
         filter add dev vif0 ingress pref 30 protocol all matchall {HOLD}\n"
    )
}

#[test]
fn the_listing_of_a_batch_means_the_same() {
    let space = Space::new(NODES).unwrap();
    let loaded = read_batch(&space, &batch(), "vif0").unwrap();
    assert_eq!(read_listing(&space, LISTING).unwrap(), loaded);
    // Newer versions print the star on rules that are not final, so tc's own have none.
    let newer = LISTING.replace('*', "").replace("u32 chain 0 fh", "u32 fh");
    assert_eq!(read_listing(&space, &newer).unwrap(), loaded);
    // Statistics, the device and the parent change nothing.
    let long = LISTING
        .replace("at 20\n", "at 20 (success 3 ) \n")
        .replace("not_in_hw \n", "not_in_hw  (rule hit 7 success 3)\n")
        .replace("stolen\n", "stolen\n\tindex 1 ref 1 bind 1 installed 5 sec used 5 sec\n\tAction statistics:\n\tSent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0) \n\tbacklog 0b 0p requeues 0\n")
        .replace("filter protocol", "filter dev vif0 ingress protocol");
    assert_eq!(read_listing(&space, &long).unwrap(), loaded);
    let parent = LISTING.replace("filter protocol", "filter parent ffff: protocol");
    assert_eq!(read_listing(&space, &parent).unwrap(), loaded);
}

#[test]
fn an_empty_listing_lets_everything_pass() {
    let space = Space::new(NODES).unwrap();
    assert_eq!(read_listing(&space, "").unwrap().bypass, space.all());
}

/// What is changed in the listing, and why it is refused then.
#[test]
fn a_listing_that_is_not_understood_is_refused() {
    let space = Space::new(NODES).unwrap();
    for (from, to, reason) in [
        (
            "    hash mask",
            "    offset 0f00>>6 at 0  eat \n    hash mask",
            "this line",
        ),
        ("at -16\n", "at -16 eat \n", "`eat`"),
        ("at -16\n", "at nexthdr+0\n", "`nexthdr+0`"),
        ("at -16\n", "at -2\n", "`-2`"),
        (
            "  match 00110000/00ff0000 at 8",
            "  match IP protocol 17",
            "`IP`",
        ),
        (
            "*flowid 1:2",
            "flowid 1:2",
            "which of these rules are final",
        ),
        ("chain 0 fh 801:", "chain 1 fh 801:", "of other chains"),
        ("link 2:", "link 3:", "table 3: is not listed"),
        ("link 2:", "link 801:", "or is a root"),
        ("fh 801: ht divisor 1", "fh 901: ht divisor 3", "`3`"),
        (
            "filter protocol [2989] pref 20 u32 chain 0 fh 801: ht divisor 1 \n",
            "",
            "table 801: is not listed",
        ),
        ("fh 2:5:1 order 1", "fh 2:5:1 order 2", "`2`"),
        (
            "fh 2:5:1 order 1 key ht 2 bkt 5",
            "fh 2:6:1 order 1 key ht 2 bkt 5",
            "`5`",
        ),
        ("ht divisor 16", "ht divisor 4", "or is smaller"),
        ("random type none", "random type determ", "left to chance"),
        ("action drop", "action pipe", "`pipe`"),
        ("Egress Redirect", "Egress Mirror", "`Mirror`"),
        ("stolen", "pipe", "`pipe`"),
        ("mirred (", "police (", "this action"),
        ("  not_in_hw", "  in_hw", "this line"),
        (
            "protocol [2989] pref 20 u32 chain 0 fh",
            "protocol ip pref 20 u32 chain 0 fh",
            "two ways",
        ),
        ("all pref 30 matchall", "all pref 20 matchall", "two ways"),
        ("filter protocol", "filter block 3 protocol", "`block`"),
        ("filter protocol", "filter egress protocol", "`egress`"),
        ("matchall", "basic", "`basic`"),
        ("bkt 0 link", "bkt 0 skip_sw link", "`skip_sw`"),
    ] {
        let changed = LISTING.replace(from, to);
        assert_ne!(changed, LISTING, "{from}");
        let (_, named) = refused(read_listing(&space, &changed));
        assert!(named.contains(reason), "`{to}`: {named}");
    }
}
