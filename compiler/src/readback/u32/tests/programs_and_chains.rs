//! What tc 6.1 prints for bpf filters and for chains of flower filters that Linux 6.1 has loaded.

use policy_lang::Space;

use super::{NODES, read_batch, read_listing, refused};

const PROGRAMS: &str = "\
filter protocol all pref 10 bpf chain 0\x20
filter protocol all pref 10 bpf chain 0 handle 0x1 flowid :1 not_in_hw bytecode '4,48 0 0 23,21 0 1 17,6 0 0 4294967295,6 0 0 0'
filter protocol all pref 65000 bpf chain 0\x20
filter protocol all pref 65000 bpf chain 0 handle 0x1 flowid :1 not_in_hw bytecode '1,6 0 0 4294967295'
\taction order 1: mirred (Egress Redirect to device ifb0) stolen
\tindex 1 ref 1 bind 1

";

const PROGRAMS_BATCH: &str = r#"
filter add dev vif0 ingress pref 65000 protocol all handle 1 bpf bytecode "1,6 0 0 4294967295" flowid :1 action mirred egress redirect dev ifb0
filter add dev vif0 ingress pref 10 protocol all handle 1 bpf bytecode "4,48 0 0 23,21 0 1 17,6 0 0 4294967295,6 0 0 0" flowid :1
"#;

const CHAINS: &str = "\
filter protocol 802.1Q pref 20 u32 chain 0\x20
filter protocol 802.1Q pref 20 u32 chain 0 fh 800: ht divisor 1\x20
filter protocol 802.1Q pref 20 u32 chain 0 fh 800::1 order 1 key ht 800 bkt 0 *flowid :1 not_in_hw\x20
  match 000086dd/0000ffff at -4
  match 60000000/f0000000 at 0
  match 00001100/0000ff00 at 4
  match 00000000/00000000 at 44
\taction order 1: gact action goto chain 20
\t random type none pass val 0
\t index 1 ref 1 bind 1

filter protocol ip pref 30 u32 chain 0\x20
filter protocol ip pref 30 u32 chain 0 fh 801: ht divisor 1\x20
filter protocol ip pref 30 u32 chain 0 fh 801::1 order 1 key ht 801 bkt 0 *flowid :1 not_in_hw\x20
  match 45000000/ff000000 at 0
  match 00000000/00003fff at 4
  match 00010000/00ff0000 at 8
  match 00000000/00000000 at 24
\taction order 1: gact action goto chain 30
\t random type none pass val 0
\t index 2 ref 1 bind 1

filter protocol 802.1Q pref 2 flower chain 20\x20
filter protocol 802.1Q pref 2 flower chain 20 handle 0x1\x20
  vlan_ethtype ipv6
  eth_type ipv6
  ip_proto udp
  ip_tos 184/0xfc
  ip_ttl 64/0xf0
  dst_ip ::1
  src_ip 2001:db8::/32
  dst_port 6-10
  src_port 5-9
  not_in_hw
filter protocol 802.1Q pref 2 flower chain 20 handle 0x1f\x20
  vlan_ethtype ipv6
  eth_type ipv6
  ip_proto udp
  dst_port 16384
  not_in_hw
filter protocol all pref 3 flower chain 20\x20
filter protocol all pref 3 flower chain 20 handle 0x1\x20
  not_in_hw
\taction order 1: mirred (Egress Redirect to device ifb0) stolen
\tindex 1 ref 1 bind 1

filter protocol ip pref 2 flower chain 30\x20
filter protocol ip pref 2 flower chain 30 handle 0x1\x20
  dst_mac 02:00:00:00:00:00/8
  src_mac 02:00:00:00:00:01
  eth_type ipv4
  ip_proto icmp
  icmp_type 8
  icmp_code 0/1
  not_in_hw
\taction order 1: gact action drop
\t random type none pass val 0
\t index 3 ref 1 bind 1

";

const CHAINS_BATCH: &str = "
filter add dev vif0 ingress pref 20 protocol 802.1Q handle ::1 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00001100 0x0000ff00 at 4 match u32 0 0 at 44 flowid :1 action goto chain 20
filter add dev vif0 ingress pref 30 protocol ip handle ::1 u32 match u32 0x45000000 0xff000000 at 0 match u32 0x00000000 0x00003fff at 4 match u32 0x00010000 0x00ff0000 at 8 match u32 0 0 at 24 flowid :1 action goto chain 30
filter add dev vif0 ingress chain 20 pref 2 protocol 802.1Q handle 0x1 flower vlan_ethtype ipv6 ip_proto udp src_ip 2001:db8::/32 dst_ip ::1 src_port 5-9 dst_port 6-10 ip_tos 0xb8/0xfc ip_ttl 0x40/0xf0
filter add dev vif0 ingress chain 20 pref 2 protocol 802.1Q handle 0x1f flower vlan_ethtype ipv6 ip_proto udp dst_port 16384
filter add dev vif0 ingress chain 20 pref 3 protocol all handle 0x1 flower action mirred egress redirect dev ifb0
filter add dev vif0 ingress chain 30 pref 2 protocol ip handle 0x1 flower src_mac 02:00:00:00:00:01 dst_mac 02:00:00:00:00:00/ff:00:00:00:00:00 ip_proto icmp type 8 code 0/1 action drop
";

#[test]
fn the_listing_of_a_batch_means_the_same() {
    let space = Space::new(NODES).unwrap();
    for (listing, batch) in [(PROGRAMS, PROGRAMS_BATCH), (CHAINS, CHAINS_BATCH)] {
        let loaded = read_batch(&space, batch, "vif0").unwrap();
        assert!(!loaded.held.is_empty());
        assert_eq!(read_listing(&space, listing).unwrap(), loaded);
        let long = listing.replace("stolen\n", "stolen\n\tAction statistics:\n\tSent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0) \n");
        assert_eq!(read_listing(&space, &long).unwrap(), loaded);
    }
}

/// One word of the listing is another one, and so is its meaning.
#[test]
fn another_word_means_another_thing() {
    let space = Space::new(NODES).unwrap();
    for (listing, from, to) in [
        (PROGRAMS, "21 0 1 17", "21 0 1 6"),
        (PROGRAMS, "48 0 0 23", "48 0 0 24"),
        (PROGRAMS, "device ifb0", "device ifb1"),
        (CHAINS, "dst_port 16384", "dst_port 16385"),
        (CHAINS, "dst_port 6-10", "dst_port 6-11"),
        (CHAINS, "dst_ip ::1", "dst_ip ::2"),
        (CHAINS, "2001:db8::/32", "2001:db8::/33"),
        (CHAINS, "ip_ttl 64/0xf0", "ip_ttl 64/0xe0"),
        (CHAINS, "00:00/8", "00:00/9"),
        (CHAINS, "icmp_type 8", "icmp_type 9"),
        (CHAINS, "action drop", "action pass"),
        (CHAINS, "goto chain 20", "goto chain 21"),
    ] {
        let before = read_listing(&space, listing).unwrap();
        let after = listing.replace(from, to);
        assert_ne!(after, listing, "{from}");
        assert_ne!(read_listing(&space, &after).unwrap(), before, "{from}");
    }
}

/// What is changed in a listing, and why it is refused then.
#[test]
fn a_listing_that_is_not_understood_is_refused() {
    let space = Space::new(NODES).unwrap();
    for (listing, from, to, reason) in [
        (
            PROGRAMS,
            "flowid :1 not",
            "flowid :1 direct-action not",
            "`direct-action`",
        ),
        (PROGRAMS, " bytecode '1,", " name a '1,", "`name`"),
        (PROGRAMS, "'4,48", "'5,48", "the number of instructions"),
        (PROGRAMS, "'4,48 0 0 23", "'4,48 0 23", "in decimal"),
        (
            PROGRAMS,
            "pref 10 bpf chain 0 handle",
            "pref 10 bpf chain 4 handle",
            "of other chains",
        ),
        (PROGRAMS, "21 0 1 17", "177 0 1 17", "instruction 1"),
        (CHAINS, "  ip_tos 184/0xfc", "  ip_tos 0xb8/fc", "`0xb8/fc`"),
        (
            CHAINS,
            "  dst_port 16384\n",
            "  tcp_flags 0x2/2\n",
            "this line",
        ),
        (
            CHAINS,
            "  dst_port 16384\n",
            "  dst_port 16384 eat\n",
            "`eat`",
        ),
        (
            CHAINS,
            "  eth_type ipv4\n",
            "  eth_type ipv6\n",
            "not the protocol",
        ),
        (CHAINS, "  icmp_type 8\n", "  type 8\n", "this line"),
        (CHAINS, "  not_in_hw", "  in_hw in_hw_count 1", "this line"),
        (
            CHAINS,
            "dst_port 16384\n  not_in_hw\n",
            "dst_port 16384\n\taction order 1: gact action drop\n",
            "does something else",
        ),
        (
            CHAINS,
            "chain 30 handle 0x1 \n",
            "chain 30 handle 0x1 skip_sw \n",
            "`skip_sw`",
        ),
        (CHAINS, "action drop", "action continue", "`continue`"),
        (
            CHAINS,
            "2001:db8::/32",
            "2001:db8::/ffff::",
            "`2001:db8::/ffff::`",
        ),
    ] {
        let changed = listing.replace(from, to);
        assert_ne!(changed, listing, "{from}");
        let (_, why) = refused(read_listing(&space, &changed));
        assert!(why.contains(reason), "{to}: {why}");
    }
}
