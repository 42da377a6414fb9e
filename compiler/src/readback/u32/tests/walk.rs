//! The walk through preferences, buckets, keys and links.

use super::{ALL, HOLD, Rules, frame, udp};

/// A last preference that holds everything.
fn held_at_last(text: &str) -> Rules {
    Rules::batch(&format!(
        "{text}\nfilter add dev vif0 ingress pref 99 protocol all u32 match u32 0 0 at -12 {HOLD}"
    ))
}

#[test]
fn a_frame_that_nothing_matches_passes() {
    let rules = Rules::batch("qdisc add dev vif0 clsact\n# nothing else\n");
    rules.check(&frame(&[], 0x0800, &udp(5)), "pass");
    rules.check(&frame(&[], 0x0806, &[]), "pass");
}

#[test]
fn keys_of_one_word_are_joined_and_masked() {
    let rules = held_at_last(&format!(
        "{ALL} u32 match u8 0x45 0xff at 0 match u8 17 0xff at 9 match u16 0x4000 0xc000 at 22 \
         match u8 0xff 0x0f at 8 flowid :1"
    ));
    let mut packet = udp(0x4001);
    packet[8] = 0x3f;
    rules.check(&frame(&[], 0x0800, &packet), "pass");
    packet[8] = 0x3e;
    rules.check(&frame(&[], 0x0800, &packet), "ifb0");
    rules.check(&frame(&[], 0x0800, &udp(0x8001)), "ifb0");
}

#[test]
fn an_odd_half_word_is_the_lower_half() {
    let rules = held_at_last(&format!("{ALL} u32 match u16 0x1234 0xffff at 1 flowid :1"));
    rules.check(&frame(&[], 0x0bad, &[0, 0x12, 0x34, 0]), "ifb0");
    rules.check(&frame(&[], 0x0bad, &[0, 0, 0x12, 0x34]), "pass");
}

#[test]
fn a_key_past_the_end_ends_the_preference_not_the_rule() {
    let rules = held_at_last(&format!(
        "{ALL} handle ::1 u32 match u32 0 0 at 20 flowid :1\n\
         {ALL} handle ::2 u32 match u8 0x45 0xff at 0 action drop"
    ));
    // Both rules are asked only if the first has its word.
    rules.check(&frame(&[], 0x0800, &udp(5)[..23]), "ifb0");
    rules.check(&frame(&[], 0x0800, &udp(5)[..24]), "pass");
    // What does not match is never looked at further.
    let rules = held_at_last(&format!(
        "{ALL} handle ::1 u32 match u8 0x46 0xff at 0 match u32 0 0 at 20 flowid :1\n\
         {ALL} handle ::2 u32 match u8 0x45 0xff at 0 action drop"
    ));
    rules.check(&frame(&[], 0x0800, &udp(5)[..23]), "drop");
    // The order of the keys decides.
    let rules = held_at_last(&format!(
        "{ALL} handle ::1 u32 match u32 0 0 at 20 match u8 0x46 0xff at 0 flowid :1\n\
         {ALL} handle ::2 u32 match u8 0x45 0xff at 0 action drop"
    ));
    rules.check(&frame(&[], 0x0800, &udp(5)[..23]), "ifb0");
    rules.check(&frame(&[], 0x0800, &udp(5)[..24]), "drop");
}

#[test]
fn a_joined_key_keeps_the_place_of_the_first() {
    // The third match moves into the first: it fails before word 20 is looked for.
    let rules = held_at_last(&format!(
        "{ALL} handle ::1 u32 match u8 0x45 0xff at 0 match u8 0 0 at 20 match u8 1 1 at 1 \
         flowid :1\n\
         {ALL} handle ::2 u32 match u8 0x45 0xff at 0 action drop"
    ));
    rules.check(&frame(&[], 0x0800, &udp(5)[..23]), "drop");
}

#[test]
fn presence_is_asked_in_whole_words() {
    let rules = held_at_last(&format!("{ALL} u32 match u8 0 0 at 0 flowid :1"));
    for short in 0..4 {
        rules.check(&frame(&[], 0x0bad, &[0; 4][..short]), "ifb0");
    }
    for tags in [&[][..], &[0x8100], &[0x88a8]] {
        rules.check(&frame(tags, 0x0bad, &[0; 3]), "ifb0");
        rules.check(&frame(tags, 0x0bad, &[0; 4]), "pass");
    }
}

#[test]
fn the_word_before_the_network_header_is_always_there() {
    for key in [
        "u16 0 0 at -2",
        "u32 0 0 at -4",
        "u8 0 0 at -14",
        "u32 0 0 at -8",
    ] {
        let rules = Rules::batch(&format!("{ALL} u32 match {key} {HOLD}"));
        rules.check(&frame(&[], 0x0bad, &[]), "ifb0");
        rules.check(&frame(&[0x8100], 0x0bad, &[0; 2]), "ifb0");
        rules.check(&frame(&[0x88a8], 0x0bad, &[0; 2]), "ifb0");
    }
}

#[test]
fn addresses_lie_before_the_network_header() {
    let rules = held_at_last(&format!(
        "{ALL} u32 match u16 0x0200 0xffff at -14 match u32 1 0xffffffff at -12 \
         match u16 0x0200 0xffff at -8 match u16 9 0xffff at -4 flowid :1"
    ));
    for tags in [&[][..], &[0x8100], &[0x88a8]] {
        let mut seen = frame(tags, 0x0800, &udp(5));
        rules.check(&seen, "pass");
        seen[11] = 8;
        rules.check(&seen, "ifb0");
    }
}

#[test]
fn the_protocol_is_that_of_the_outer_ethertype() {
    let batch = |protocol: &str| {
        Rules::batch(&format!(
            "filter add dev vif0 ingress pref 10 protocol {protocol} u32 match u32 0 0 at -4 {HOLD}"
        ))
    };
    let plain = frame(&[], 0x0800, &udp(5));
    let tagged = frame(&[0x8100], 0x0800, &udp(5));
    let ad = frame(&[0x88a8], 0x0800, &udp(5));
    let double = frame(&[0x8100, 0x88a8], 0x0800, &udp(5));
    let llc = frame(&[], 40, &[0xaa; 40]);
    let raw = frame(&[], 40, &[0xff; 40]);
    let other = frame(&[], 0x9100, &udp(5));
    let frames = [&plain, &tagged, &ad, &double, &llc, &raw, &other];
    for (protocol, held) in [
        ("ip", "x......"),
        ("IPv4", "x......"),
        ("0x800", "x......"),
        ("2048", "x......"),
        ("802.1q", ".x.x..."),
        ("802.1ad", "..x...."),
        ("802_2", "....x.."),
        ("802_3", ".....x."),
        ("0x9100", "......x"),
        ("40", "......."),
        ("all", "xxxxxxx"),
    ] {
        let rules = batch(protocol);
        for (frame, held) in frames.iter().zip(held.chars()) {
            rules.check(frame, if held == 'x' { "ifb0" } else { "pass" });
        }
    }
}

#[test]
fn the_first_tag_is_seen_through_whatever_its_kind() {
    let rules = held_at_last(&format!(
        "{ALL} u32 match u16 0x0800 0xffff at -2 match u8 0x45 0xff at 0 match u16 7 0xffff at 22 \
         flowid :1"
    ));
    rules.check(&frame(&[], 0x0800, &udp(7)), "pass");
    rules.check(&frame(&[0x8100], 0x0800, &udp(7)), "pass");
    rules.check(&frame(&[0x88a8], 0x0800, &udp(7)), "pass");
    rules.check(&frame(&[0x88a8], 0x0800, &udp(8)), "ifb0");
    rules.check(&frame(&[0x88a8], 0x0800, &udp(7)[..23]), "ifb0");
    let by_protocol = held_at_last(
        "filter add dev vif0 ingress pref 10 protocol 802.1ad u32 match u16 7 0xffff at 22 flowid :1",
    );
    by_protocol.check(&frame(&[0x88a8], 0x0800, &udp(7)), "pass");
    by_protocol.check(&frame(&[0x88a8], 0x0800, &udp(8)), "ifb0");
    rules.check(&frame(&[0x8100, 0x8100], 0x0800, &udp(7)), "ifb0");
    rules.check(&frame(&[0x9100], 0x0800, &udp(7)), "ifb0");
    // What is behind the second tag starts with that tag.
    let rules = held_at_last(&format!(
        "{ALL} u32 match u16 0x8100 0xffff at -2 match u32 0x00050800 0xffffffff at 0 flowid :1"
    ));
    rules.check(&frame(&[0x8100, 0x8100], 0x0800, &udp(7)), "pass");
    rules.check(&frame(&[0x88a8, 0x8100], 0x0800, &udp(7)), "pass");
    rules.check(&frame(&[0x8100], 0x0800, &udp(7)), "ifb0");
}

#[test]
fn a_rule_without_class_and_action_is_not_final() {
    let rules = held_at_last(&format!("{ALL} u32 match u32 0 0 at -4"));
    rules.check(&frame(&[], 0x0800, &udp(5)), "ifb0");
    let rules = held_at_last(&format!(
        "{ALL} u32 match u32 0 0 at -4 flowid :1 action continue"
    ));
    rules.check(&frame(&[], 0x0800, &udp(5)), "ifb0");
}

#[test]
fn preferences_are_asked_in_order_and_nodes_too() {
    let rules = Rules::batch(&format!(
        "{ALL} handle ::9 u32 match u32 0 0 at -4 action drop\n\
         filter add dev vif0 ingress pref 9 protocol ip u32 match u16 9 0xffff at 22 {HOLD}\n\
         {ALL} handle 800::8 u32 match u8 0x45 0xff at 0 classid 1:2\n\
         filter add dev vif0 ingress pref 20 protocol all u32 match u32 0 0 at -4 {HOLD}\n"
    ));
    rules.check(&frame(&[], 0x0800, &udp(9)), "ifb0");
    rules.check(&frame(&[], 0x0800, &udp(5)), "pass");
    // Word 0 is not there: the drop behind it is not reached, the later preference is.
    rules.check(&frame(&[], 0x0800, &[]), "ifb0");
    rules.check(&frame(&[], 0x0806, &[0; 4]), "drop");
}

#[test]
fn rules_without_handle_come_behind_those_with_a_low_one() {
    let rules = Rules::batch(&format!(
        "{ALL} u32 match u32 0 0 at -4 {HOLD}\n\
         {ALL} handle ::1 u32 match u16 0x0800 0xffff at -2 flowid :1"
    ));
    rules.check(&frame(&[], 0x0800, &[]), "pass");
    rules.check(&frame(&[], 0x0806, &[]), "ifb0");
}

#[test]
fn a_link_comes_back_and_the_next_rule_is_tried() {
    let rules = Rules::batch(&format!(
        "{ALL} handle 2: u32 divisor 1\n\
         {ALL} handle 2:0:1 u32 ht 2: match u16 7 0xffff at 22 flowid :1\n\
         {ALL} handle ::1 u32 match u8 0x45 0xff at 0 link 2:\n\
         {ALL} handle ::2 u32 match u16 0x0800 0xffff at -2 {HOLD}"
    ));
    rules.check(&frame(&[], 0x0800, &udp(7)), "pass");
    rules.check(&frame(&[], 0x0800, &udp(8)), "ifb0");
    // A key past the end inside of the linked table ends the whole preference.
    rules.check(&frame(&[], 0x0800, &udp(8)[..20]), "pass");
}

#[test]
fn a_rule_with_link_and_class_is_final_for_what_comes_back() {
    let rules = held_at_last(&format!(
        "{ALL} handle 2: u32 divisor 1\n\
         {ALL} handle 2:0:1 u32 ht 2: match u16 7 0xffff at 22 action drop\n\
         {ALL} handle ::1 u32 match u8 0x45 0xff at 0 link 2: flowid :1\n"
    ));
    rules.check(&frame(&[], 0x0800, &udp(7)), "drop");
    rules.check(&frame(&[], 0x0800, &udp(8)), "pass");
    rules.check(&frame(&[], 0x0800, &udp(8)[..20]), "ifb0");
    rules.check(&frame(&[], 0x86dd, &[0x60; 48]), "ifb0");
}

#[test]
fn the_hash_key_chooses_the_bucket() {
    let table = format!(
        "{ALL} handle 2: u32 divisor 16\n\
         {ALL} handle 2:5:1 u32 ht 2:5: match u32 0 0 at 0 flowid :1\n\
         {ALL} handle 2:0:1 u32 ht 2:0: match u32 0 0 at 0 action drop\n"
    );
    let link = |hash: &str| {
        held_at_last(&format!(
            "{table}{ALL} u32 match u32 0 0 at -4 link 2: {hash}"
        ))
    };
    let port = |port: u16| frame(&[], 0x0800, &udp(port));
    // The lowest four bits of the masked, shifted word.
    let rules = link("hashkey mask 0x0000fff0 at 20");
    rules.check(&port(0x0057), "pass");
    rules.check(&port(0xff5f), "pass");
    rules.check(&port(0x0f00), "drop");
    rules.check(&port(0x0010), "ifb0");
    // A hash key past the end ends the preference.
    rules.check(&frame(&[], 0x0800, &udp(0x50)[..23]), "ifb0");
    // A mask with a gap: bit 1 of the bucket's number is always 0, so 5 is 1 or 5, by bit 2.
    let rules = link("hashkey mask 0x00000005 at 20");
    rules.check(&port(0x0007), "pass");
    rules.check(&port(0x0002), "drop");
    let rules = link("hashkey mask 0x00000002 at 20");
    rules.check(&port(0x0005), "drop");
    rules.check(&port(0x0002), "ifb0");
    // No hash key: bucket 0, but the word at 0 has to be there.
    let rules = link("");
    rules.check(&port(0x0050), "drop");
    rules.check(&frame(&[], 0x0800, &[0x45, 0, 0]), "ifb0");
    // The highest bits: what is shifted in is 0.
    let rules = link("hashkey mask 0xc0000000 at 0");
    rules.check(&frame(&[], 0x0800, &[0x3f, 0, 0, 0]), "drop");
    rules.check(&frame(&[], 0x0800, &[0x7f, 0, 0, 0]), "ifb0");
}

#[test]
fn the_hash_key_can_be_an_address() {
    let rules = held_at_last(&format!(
        "{ALL} handle 2: u32 divisor 256\n\
         {ALL} handle 2:9:1 u32 ht 2:9: match u32 0 0 at -4 flowid :1\n\
         {ALL} u32 match u32 0 0 at -4 link 2: hashkey mask 0x00ff0000 at -4"
    ));
    for tags in [&[][..], &[0x8100], &[0x88a8]] {
        let mut seen = frame(tags, 0x0bad, &[0; 8]);
        rules.check(&seen, "pass");
        seen[11] = 8;
        rules.check(&seen, "ifb0");
    }
}

#[test]
fn the_ninth_link_in_a_row_ends_the_preference() {
    let chain = |links: u32| {
        let mut text = String::new();
        for table in 1..=links {
            text += &format!("{ALL} handle {table:x}: u32 divisor 1\n");
        }
        for table in 1..=links {
            let from = if table == 1 {
                "800".to_owned()
            } else {
                format!("{:x}", table - 1)
            };
            text += &format!(
                "{ALL} handle {from}:0:1 u32 ht {from}: match u32 0 0 at -4 link {table:x}:\n"
            );
        }
        text += &format!(
            "{ALL} handle {links:x}:0:1 u32 ht {links:x}: match u32 0 0 at -4 action drop\n"
        );
        text += &format!("{ALL} handle 800::2 u32 match u32 0 0 at -4 flowid :1");
        held_at_last(&text)
    };
    chain(8).check(&frame(&[], 0x0bad, &[]), "drop");
    chain(9).check(&frame(&[], 0x0bad, &[]), "ifb0");
}

#[test]
fn a_table_that_links_to_itself_ends_the_preference() {
    let rules = held_at_last(&format!(
        "{ALL} handle 2: u32 divisor 1\n\
         {ALL} handle 2:0:1 u32 ht 2: match u8 1 1 at 0 link 2:\n\
         {ALL} handle 2:0:2 u32 ht 2: match u32 0 0 at 0 action drop\n\
         {ALL} handle ::1 u32 match u32 0 0 at -4 link 2:\n\
         {ALL} handle ::2 u32 match u32 0 0 at -4 flowid :1"
    ));
    rules.check(&frame(&[], 0x0bad, &[1, 0, 0, 0]), "ifb0");
    rules.check(&frame(&[], 0x0bad, &[2, 0, 0, 0]), "drop");
}

#[test]
fn a_preference_can_put_rules_in_the_root_of_another() {
    let rules = Rules::batch(&format!(
        "{ALL} u32 match u8 0x46 0xff at 0 flowid :1\n\
         filter add dev vif0 ingress pref 20 protocol ip u32 ht 800: match u32 0 0 at -4 {HOLD}\n\
         filter add dev vif0 ingress pref 20 protocol ip u32 ht 801: match u32 0 0 at -4 action drop"
    ));
    // The second line belongs to preference 10, which asks every frame.
    rules.check(&frame(&[], 0x86dd, &[0x60; 40]), "ifb0");
    // The first rule's key ended preference 10.
    rules.check(&frame(&[], 0x0800, &[0x60; 3]), "drop");
}

#[test]
fn matchall_takes_every_frame() {
    let rules = Rules::batch(&format!(
        "{ALL} u32 match u16 0x0800 0xffff at -2 action ok\n\
         filter add dev vif0 parent ffff: pref 20 protocol 802.1Q matchall action drop\n\
         filter add dev vif0 parent ffff:fff2 prio 30 matchall {HOLD} flowid :1"
    ));
    rules.check(&frame(&[], 0x0800, &udp(1)), "pass");
    rules.check(&frame(&[0x8100], 0x0806, &[0; 28]), "drop");
    rules.check(&frame(&[], 0x0806, &[]), "ifb0");
}

#[test]
fn other_devices_are_left_aside() {
    let rules = Rules::batch(&format!(
        "qdisc add dev ifb0 root handle 1: pfifo limit 1000\n\
         filter add dev vif1 ingress pref 10 protocol ip u32 match u32 0 0 at -4 {HOLD}"
    ));
    rules.check(&frame(&[], 0x0800, &udp(1)), "pass");
}
