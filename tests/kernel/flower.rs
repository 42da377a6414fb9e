//! The flower back end on the running kernel: a filter is replaced in its place, by its pref and its handle,
//! while frames come.

use compiler::backend::Kind;
use compiler::frame_text;
use libtest_mimic::{Failed, Trial};
use tests::examples::{Example, checked};
use tests::netlab::Lab;

use crate::Here;
use crate::script::{Desk, IFB};

/// How often a filter is replaced while frames come.
const TIMES: usize = 300;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![here.trial_with(
        Kind::Flower,
        "flower::a_filter_is_replaced_in_place",
        a_filter_is_replaced_in_place,
    )]
}

fn frame(port: u16) -> Vec<u8> {
    let text = format!("udp 10.0.0.2:9 > 10.0.0.3:{port}");
    frame_text::parse(&text).expect("words for a frame")
}

/// The filter whose keys change is never missing nor there twice, and no other filter is touched: what the
/// others let pass passes, and what none lets pass is held, all the time.
fn a_filter_is_replaced_in_place() -> Result<(), Failed> {
    let text = String::from("bypass udp dport { 5004, 5006 };");
    let example = Example {
        name: String::from("ports.gate"),
        policy: checked("ports.gate", &text),
        text,
    };
    let rules = example.compile(Kind::Flower, "vif0", IFB)?.rules;
    let filter = rules
        .lines()
        .find(|line| line.contains(" protocol ip handle ") && line.ends_with("dst_port 5006"))
        .ok_or("no filter of one port in the rules")?;
    let filter = filter
        .trim_end_matches("5006")
        .replace("filter add", "filter replace");

    let desk = Desk::in_lab(Lab::closed()?)?;
    let script = desk.put(&example, Kind::Flower)?;
    desk.succeed(&format!(
        "sh {script} apply && tc qdisc change dev {IFB} root plug block"
    ))?;
    let before = desk.state()?;
    let batch = tempfile::NamedTempFile::new()?;
    let lines: String = (0..TIMES)
        .map(|_| format!("{filter}5008\n{filter}5006\n"))
        .collect();
    std::fs::write(batch.path(), lines)?;
    let work = || desk.succeed(&format!("tc -batch {}", batch.path().display()));
    let (replaced, toll) =
        desk.lab
            .flood(Some(IFB), &[frame(9), frame(5010)], &[frame(5004)], work)?;
    replaced?;
    if toll.leaked > 0 || toll.bypass_lost() > 0 || toll.bypass_held > 0 || toll.held_sent == 0 {
        return Err(format!("while a filter is replaced {TIMES} times: {toll}").into());
    }
    if desk.state()? != before {
        return Err(format!("not as before:\n{before}\n{}", desk.state()?).into());
    }

    // Keys of other fields need another mask, and a filter without a handle is one more: both are refused, and
    // nothing changes.
    desk.fail(&format!("tc {filter}5006 src_port 7"), "")?;
    let without = filter.replace("handle 0x2 ", "");
    desk.fail(&format!("tc {without}5006"), "")?;
    if desk.state()? != before {
        return Err(format!("a refused change is none:\n{before}\n{}", desk.state()?).into());
    }
    Ok(())
}
