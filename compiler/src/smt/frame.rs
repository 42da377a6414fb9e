//! A frame as bit-vectors: its length, its first bytes, its headers, and what the kernel makes of it.
//!
//! The header rule of docs/language.md once more, with offsets of its own, from IEEE 802.3 and
//! 802.1Q, RFC 791, RFC 8200, RFC 768, RFC 9293, RFC 9260, RFC 792 and RFC 4443. Bytes behind the
//! frame's end have values too; whoever looks at a byte asks for the length.

use super::term::{define, vector};

/// Bytes of a frame that can be looked at: Ethernet header, a tag, and 72 bytes behind them.
pub const BYTES: usize = 14 + 4 + NETWORK_BYTES;
/// Of these, those behind the Ethernet header and the tag.
pub const NETWORK_BYTES: usize = 72;

/// The logic, the frame, and its headers as the language sees them.
pub(super) fn declarations() -> String {
    let mut text = String::from(
        "; A frame: its length, and its first bytes from the destination address on.\n\
         (set-option :produce-models true)\n(set-logic QF_BV)\n\
         (declare-const len (_ BitVec 16))\n(assert (bvuge len #x000e))\n",
    );
    for at in 0..BYTES {
        text.push_str(&format!("(declare-const b{at} (_ BitVec 8))\n"));
    }
    text.push_str("\n; Its headers: a header is there if its whole fixed part is.\n");
    text.push_str(&define("outer", &vector(16), "(concat b12 b13)"));
    let tagged = "(and (= outer #x8100) (bvuge len #x0012))";
    text.push_str(&define("tagged", "Bool", tagged));
    text.push_str(&network("n", "tagged"));
    text.push_str(HEADERS);
    text
}

/// The bytes behind the Ethernet header, and behind a tag if `tag` holds.
fn network(name: &str, tag: &str) -> String {
    let byte = |at: usize| {
        let term = format!("(ite {tag} b{} b{})", at + 18, at + 14);
        define(&format!("{name}{at}"), &vector(8), &term)
    };
    (0..NETWORK_BYTES).map(byte).collect()
}

/// The values that a solver is to give: of the length and of all bytes.
pub(super) fn values() -> String {
    let bytes: Vec<String> = (0..BYTES).map(|at| format!("b{at}")).collect();
    format!("(get-value (len {}))\n", bytes.join(" "))
}

/// The frame in a solver's answer to a question that is satisfied; `None` if there is none in it.
#[must_use]
pub fn read(answer: &str) -> Option<Vec<u8>> {
    let words: Vec<&str> = answer
        .split(|c: char| c.is_whitespace() || c == '(' || c == ')')
        .filter(|word| !word.is_empty())
        .collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        let digits = words.get(at + 1)?;
        match digits.strip_prefix("#x") {
            Some(digits) => usize::from_str_radix(digits, 16).ok(),
            None => usize::from_str_radix(digits.strip_prefix("#b")?, 2).ok(),
        }
    };
    let bytes = (0..BYTES).map(|at| u8::try_from(value(&format!("b{at}"))?).ok());
    let mut frame: Vec<u8> = bytes.collect::<Option<_>>()?;
    frame.resize(value("len")?, 0);
    Some(frame)
}

/// The byte at an offset from the network header as the kernel shows it, -14 being the first of the
/// destination address and -2 the first of the ethertype; `None` if it is not known.
#[must_use]
pub fn shown(offset: i32) -> Option<String> {
    match offset {
        -14..-2 => Some(format!("b{}", offset + 14)),
        -2 => Some(String::from("((_ extract 15 8) k-type)")),
        -1 => Some(String::from("((_ extract 7 0) k-type)")),
        _ => {
            let byte = usize::try_from(offset).ok()?;
            (byte < NETWORK_BYTES).then(|| format!("k{byte}"))
        }
    }
}

/// Headers of the language in terms of the bytes `n0`, `n1`, ... behind the transparent tag.
const HEADERS: &str = "\
(define-fun type () (_ BitVec 16) (ite tagged (concat b16 b17) outer))
(define-fun rest () (_ BitVec 16) (bvsub len (ite tagged #x0012 #x000e)))
(define-fun ip4 () Bool (and (= type #x0800) (bvuge rest #x0014) (= ((_ extract 7 4) n0) #x4)
  (bvuge ((_ extract 3 0) n0) #x5)))
(define-fun ip6 () Bool (and (= type #x86dd) (bvuge rest #x0028) (= ((_ extract 7 4) n0) #x6)))
(define-fun proto () (_ BitVec 8) (ite ip4 n9 n6))
(define-fun offset4 () (_ BitVec 14) ((_ extract 13 0) (concat n6 n7)))
(define-fun fragment () Bool (ite ip4 (distinct offset4 #b00000000000000) (and ip6 (= n6 #x2c))))
(define-fun plain () Bool (ite ip4 (and (= n0 #x45) (not fragment)) ip6))
(define-fun behind () (_ BitVec 16) (bvsub rest (ite ip4 #x0014 #x0028)))
(define-fun udp () Bool (and plain (= proto #x11) (bvuge behind #x0008)))
(define-fun udplite () Bool (and plain (= proto #x88) (bvuge behind #x0008)))
(define-fun tcp () Bool (and plain (= proto #x06) (bvuge behind #x0014)))
(define-fun sctp () Bool (and plain (= proto #x84) (bvuge behind #x000c)))
(define-fun icmp () Bool (and ip4 plain (= proto #x01) (bvuge behind #x0008)))
(define-fun icmp6 () Bool (and ip6 plain (= proto #x3a) (bvuge behind #x0008)))
(define-fun ports () Bool (or udp udplite tcp sctp))
(define-fun sport () (_ BitVec 16) (ite ip4 (concat n20 n21) (concat n40 n41)))
(define-fun dport () (_ BitVec 16) (ite ip4 (concat n22 n23) (concat n42 n43)))
(define-fun flags () (_ BitVec 8) (ite ip4 n33 n53))
(define-fun icmp-type () (_ BitVec 8) (ite ip4 n20 n40))
(define-fun icmp-code () (_ BitVec 8) (ite ip4 n21 n41))
(define-fun payload () (_ BitVec 16) (bvsub behind #x0008))
(define-fun payload0 () (_ BitVec 8) (ite ip4 n28 n48))
(define-fun payload1 () (_ BitVec 8) (ite ip4 n29 n49))
(define-fun dscp () (_ BitVec 6) (ite ip4 ((_ extract 7 2) n1) ((_ extract 11 6) (concat n0 n1))))
(define-fun ecn () (_ BitVec 2) (ite ip4 ((_ extract 1 0) n1) ((_ extract 5 4) n1)))
(define-fun ttl () (_ BitVec 8) (ite ip4 n8 n7))
";

/// What rules at an ingress hook find: the frame without its outermost tag, 802.1Q or 802.1ad.
///
/// `k0`, `k1`, ... are the bytes behind the ethertype, `k-len` is their number, `k-type` the
/// ethertype behind the tag as it stands in the frame, `k-protocol` what the kernel makes of it (1
/// or 4 for 802.3), `k-outermost` the same of the tag, and `delivered` tells which frames reach a
/// rule. What rules do is a number of [`super::fate`].
pub(super) fn as_the_kernel_shows_it() -> String {
    let mut text = String::from("\n; What the kernel shows to rules, without the outermost tag.\n");
    let stripped = "(or (= outer #x8100) (= outer #x88a8))";
    text.push_str(&define("stripped", "Bool", stripped));
    text.push_str(&network("k", "stripped"));
    text.push_str(
        "(define-fun delivered () Bool (=> stripped (bvuge len #x0014)))
(define-fun k-len () (_ BitVec 16) (bvsub len (ite stripped #x0012 #x000e)))
(define-fun k-type () (_ BitVec 16) (ite stripped (concat b16 b17) outer))
(define-fun k-protocol () (_ BitVec 16) (ite (bvuge k-type #x0600) k-type
  (ite (and (bvuge k-len #x0002) (= (concat k0 k1) #xffff)) #x0001 #x0004)))
(define-fun k-outermost () (_ BitVec 16) (ite stripped outer k-protocol))
",
    );
    text
}
