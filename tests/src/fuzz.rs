//! What must hold for any bytes: the bodies of the fuzz targets in `tests/fuzz`, here so that the
//! plain tests can replay the corpus without a fuzzer. A broken promise is a panic.

use compiler::audit::{Listing, Subject, audit};
use compiler::capture::Capture;
use compiler::flow::FlowKey;
use compiler::frame_text::{describe, parse as parse_frame};
use policy_lang::check;
use policy_lang::classify;
use policy_lang::source::{SourceFile, Span};
use policy_lang::syntax::{parse, print};

/// Any text: findings point into it, a policy comes exactly if no finding is an error, the
/// formatter's form is a fixed point, and what it changes is not the policy.
pub fn policy(bytes: &[u8]) {
    let (source, not_utf8) = SourceFile::from_bytes("fuzz", bytes);
    let (policy, findings) = check(&source);
    assert_eq!(
        policy.is_some(),
        findings.iter().all(|finding| !finding.is_error())
    );
    for finding in findings.iter().chain(&not_utf8) {
        let labels = std::iter::once(&finding.primary).chain(&finding.secondary);
        labels.for_each(|label| assert_span(label.span, &source));
        if let Some(fix) = &finding.fix {
            assert!(
                fix.apply(source.text()).is_some(),
                "{}: a fix that fits nowhere",
                finding.message
            );
        }
    }
    let (tree, found) = parse(&source);
    if !found.is_empty() {
        return;
    }
    let once = SourceFile::new("once", print(&tree));
    let (again, found) = parse(&once);
    assert!(
        found.is_empty(),
        "the formatter wrote {:?}: {found:?}",
        once.text()
    );
    assert_eq!(
        print(&again),
        once.text(),
        "formatting twice is not formatting once"
    );
    if let Some(policy) = policy {
        let (formatted, findings) = check(&once);
        let formatted = formatted.unwrap_or_else(|| panic!("formatting broke it: {findings:?}"));
        assert_eq!(formatted.rules.len(), policy.rules.len());
        for frame in [
            "0000",
            "arp",
            "udp 10.0.0.2:17000 > 192.0.2.9:40000 rtp pt 8",
        ] {
            let frame = parse_frame(frame).expect("a frame");
            let (before, after) = (classify(&policy, &frame), classify(&formatted, &frame));
            assert_eq!(before, after, "formatting changed the verdict");
        }
    }
}

fn assert_span(span: Span, source: &SourceFile) {
    let text = source.text();
    assert!(
        text.get(span.start..span.end).is_some(),
        "{span:?} is not in {} bytes",
        text.len()
    );
}

/// Any file given as a capture: what is read is no more than is there, reading ends, and every
/// frame has a flow and a description.
pub fn capture(bytes: &[u8]) {
    let Ok(mut capture) = Capture::open(bytes) else {
        return;
    };
    let mut left = bytes.len();
    for record in capture.by_ref().map_while(Result::ok) {
        left = left
            .checked_sub(record.frame.len())
            .expect("no more bytes than the file holds");
        let described = describe(&record.frame);
        assert!(!described.is_empty() && !described.contains('\n'));
        assert!(!FlowKey::of(&record.frame).to_string().is_empty());
        if let Ok(again) = parse_frame(&described) {
            assert_eq!(
                FlowKey::of(&again),
                FlowKey::of(&record.frame),
                "{described}"
            );
        }
    }
    assert_eq!(capture.next(), None, "reading went on behind its end");
}

/// Any text as a listing: what is written of it reads the same, and an audit of it ends. That it
/// finds nothing is only possible with a proof.
pub fn listing(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(listing) = Listing::read(text) else {
        return;
    };
    let again = Listing::read(&listing.write()).expect("what was read can be read again");
    assert_eq!(again.write(), listing.write());
    let source = SourceFile::new("fuzz", "bypass udp dport 16384-32767; bypass arp;");
    let policy = check(&source).0.expect("a policy");
    let subject = Subject {
        policy: &policy,
        vif: listing.vif.clone(),
        ifb: listing.ifb.clone(),
        backend: None,
    };
    if let Ok(outcome) = audit(&subject, &listing) {
        assert_eq!(outcome.proved.is_some(), outcome.findings.is_empty());
    }
}
