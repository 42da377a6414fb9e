//! What each term, field and connective means, frame by frame: which of a few named frames the
//! condition holds for. From the text of a condition to the verdict on bytes, nothing in between.

use compiler::frame_text;
use libtest_mimic::Failed;
use policy_lang::policy::Verdict;
use policy_lang::source::SourceFile;
use policy_lang::{check, classify};

/// Frames by name.
const FRAMES: &[(&str, &str)] = &[
    ("udp4", "udp 10.0.0.1:5060 > 192.0.2.9:17000"),
    ("udp6", "udp [2001:db8::1]:5060 > [2001:db8::2]:17000"),
    ("syn4", "tcp 10.0.0.1:40000 > 192.0.2.9:80 flags syn"),
    (
        "ack6",
        "tcp [2001:db8::1]:80 > [2001:db8::2]:40000 flags syn+ack",
    ),
    ("lite", "udplite 10.0.0.1:5060 > 10.0.0.2:5061"),
    ("sctp", "sctp 10.0.0.1:5062 > 10.0.0.2:5060"),
    ("ping", "icmp 10.0.0.1 > 10.0.0.2 type 8 code 0"),
    ("gone", "icmp 10.0.0.1 > 10.0.0.2 type 3 code 4"),
    ("nd6", "icmp6 fe80::1 > ff02::1 type 135 code 0"),
    ("arp", "arp"),
    ("lldp", "ethertype 0x88cc payload 0207"),
    ("esp", "ip 10.0.0.1 > 10.0.0.2 proto 50"),
    (
        "frag4",
        "ip 10.0.0.1 > 10.0.0.2 proto 17 frag-later 185 payload 42684e20",
    ),
    ("frag6", "ip6 2001:db8::1 > 2001:db8::2 proto 17 frag-first"),
    ("tagged", "arp vlan 5"),
    (
        "voice",
        "udp 10.9.0.1:17000 > 10.9.0.2:17002 rtp pt 8 dscp ef ecn 3 ttl 5 vlan 100",
    ),
    ("rtcp", "udp 10.9.0.1:17001 > 10.9.0.2:17003 rtcp"),
    ("stun", "udp 10.9.0.1:3478 > 10.9.0.2:3478 stun"),
    ("dtls", "udp 10.9.0.1:17000 > 10.9.0.2:17002 dtls"),
    ("zrtp", "udp 10.9.0.1:17000 > 10.9.0.2:17002 zrtp"),
    ("turn", "udp 10.9.0.1:3478 > 10.9.0.2:17002 turn"),
    (
        "macs",
        "arp src-mac 00:16:3e:01:02:03 dst-mac 01:00:5e:00:00:01",
    ),
];

/// Conditions and the frames that they hold for.
const HOLDS: &[(&str, &str)] = &[
    ("arp", "arp tagged macs"),
    ("ethertype 0x88cc", "lldp"),
    ("ethertype { 0x0800, 0x88cc } not ip", "lldp"),
    ("src mac 00:16:3e:01:02:03", "macs"),
    ("src mac 00:16:3e:00:00:00-00:16:3e:ff:ff:ff", "macs"),
    ("dst mac 01:00:5e:00:00:01", "macs"),
    ("dst mac 00:16:3e:01:02:03", ""),
    ("vlan", "tagged voice"),
    ("vlan 5", "tagged"),
    ("vlan { 6-100 }", "voice"),
    ("untagged arp", "arp macs"),
    ("ip6", "udp6 ack6 nd6 frag6"),
    ("ip not (udp or tcp or icmp)", "lite sctp esp"),
    ("proto esp", "esp"),
    ("proto 58", "nd6"),
    ("proto { icmp, icmp6 }", "ping gone nd6"),
    ("tcp", "syn4 ack6"),
    ("udp ip6", "udp6"),
    ("udp not dst 10.9.0.2", "udp4 udp6 frag4"),
    ("udplite", "lite"),
    ("sctp", "sctp"),
    ("icmp", "ping gone"),
    ("icmp6", "nd6"),
    ("src 10.9.0.0/16", "voice rtcp stun dtls zrtp turn"),
    ("dst 192.0.2.9", "udp4 syn4"),
    ("dst 192.0.2.1-192.0.2.8", ""),
    ("src fe80::/10", "nd6"),
    (
        "dst { 192.0.2.0/24, 2001:db8::/32 }",
        "udp4 udp6 syn4 ack6 frag6",
    ),
    ("src 2001:db8::1-2001:db8::5", "udp6 ack6 frag6"),
    ("dscp ef", "voice"),
    ("dscp 40-46", "voice"),
    ("ecn ce", "voice"),
    ("ttl 1-5", "voice"),
    ("fragment", "frag4 frag6"),
    ("sport 5060", "udp4 udp6 lite"),
    ("dport 5060", "sctp"),
    ("port 5060", "udp4 udp6 lite sctp"),
    ("port { 80, 5061 }", "syn4 ack6 lite"),
    ("dport 16384-32767 ip", "udp4 voice rtcp dtls zrtp turn"),
    ("flags syn", "syn4"),
    ("flags syn+ack", "ack6"),
    ("flags ack+syn", "ack6"),
    ("flags 0x12", "ack6"),
    ("flags 0-0xff", "syn4 ack6"),
    ("type 8", "ping"),
    ("type { 3, 135 }", "gone nd6"),
    ("type 0-255 code 0", "ping nd6"),
    ("rtp", "voice"),
    ("rtcp", "rtcp"),
    ("stun", "stun"),
    ("dtls", "dtls"),
    ("zrtp", "zrtp"),
    ("turn", "turn"),
    ("rtp pt 8", "voice"),
    ("rtp pt { 0, 9-127 }", ""),
    // `not` binds tightest, then `and` and nothing, then `or`.
    ("not ip not ip6 not arp", "lldp"),
    ("tcp or udp dport 17000 ip", "udp4 syn4 ack6"),
    ("(tcp or udp) dport 17000 ip", "udp4"),
    ("tcp and ip or sctp", "syn4 sctp"),
    ("tcp and (ip or sctp)", "syn4"),
    ("not tcp and port 80", ""),
    ("not (not tcp or not ip)", "syn4"),
    ("not not sctp", "sctp"),
    ("not not not (ip or ip6 or arp)", "lldp"),
    ("icmp type 8 or icmp6 type 135", "ping nd6"),
    // Names.
    ("ports-by-name", "udp4 udp6 lite"),
    ("sport sip ip", "udp4 lite"),
    ("both or arp vlan", "sctp lldp tagged"),
];

const NAMES: &str = "
let sip = { 5060, low };
let low = 1-10;
let ports-by-name = sport sip;
let both = sctp or link;
let link = ethertype 0x88cc;
";

/// Compares every condition with every frame.
pub(super) fn conditions_hold_where_the_table_says() -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for (condition, wanted) in HOLDS {
        let text = format!("{NAMES}\nbypass {condition};");
        let (policy, found) = check(&SourceFile::new("case", text));
        let policy = policy.ok_or_else(|| format!("{condition}: {found:#?}"))?;
        let passes = |words: &str| -> Result<bool, Failed> {
            let frame = frame_text::parse(words)?;
            Ok(classify(&policy, &frame).verdict == Verdict::Bypass)
        };
        let mut holds = Vec::new();
        for (name, words) in FRAMES {
            if passes(words)? {
                holds.push(*name);
            }
        }
        if holds.join(" ") != *wanted {
            wrong.push(format!(
                "`{condition}` holds for {holds:?}, not for [{wanted}]"
            ));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}
