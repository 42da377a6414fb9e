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

/// While a filter that holds is replaced by one that holds more, and back, what both hold is held all the time,
/// and what neither holds passes: it is never missing, and no other filter is touched.
fn a_filter_is_replaced_in_place() -> Result<(), Failed> {
    let text = String::from("buffer udp dport 5004-5006; default bypass;");
    let example = Example {
        name: String::from("ports.gate"),
        policy: checked("ports.gate", &text),
        text,
    };
    let rules = example.compile(Kind::Flower, "vif0", IFB)?.rules;
    let filter = rules
        .lines()
        .find(|line| line.contains(" protocol ip handle ") && line.contains("dst_port 5004-5006"))
        .ok_or("no filter of the ports in the rules")?
        .replace("filter add", "filter replace");
    let wider = filter.replace("5004-5006", "5004-5008");

    let desk = Desk::in_lab(Lab::closed()?)?;
    let script = desk.put(&example, Kind::Flower)?;
    desk.succeed(&format!(
        "sh {script} apply && tc qdisc change dev {IFB} root plug block"
    ))?;
    // Each replacing filter has an action of its own, with the next number.
    let state = || -> Result<String, Failed> {
        let state = desk.state()?;
        let numbered = |line: &&str| !line.trim_start().starts_with("index ");
        Ok(state
            .lines()
            .filter(numbered)
            .collect::<Vec<_>>()
            .join("\n"))
    };
    let before = state()?;
    let batch = tempfile::NamedTempFile::new()?;
    std::fs::write(batch.path(), format!("{wider}\n{filter}\n").repeat(TIMES))?;
    let work = || desk.succeed(&format!("tc -batch {}", batch.path().display()));
    let (replaced, toll) =
        desk.lab
            .flood(Some(IFB), &[frame(5004), frame(5006)], &[frame(9)], work)?;
    replaced?;
    if toll.leaked > 0 || toll.bypass_lost() > 0 || toll.bypass_held > 0 || toll.held_sent == 0 {
        return Err(format!("while a filter is replaced {TIMES} times: {toll}").into());
    }
    if state()? != before {
        return Err(format!("not as before:\n{before}\n{}", state()?).into());
    }

    // Keys of other fields need another mask, and a filter without a handle is one more: both are refused, and
    // nothing changes.
    let other = filter.replace("5004-5006", "5004-5006 src_port 7");
    desk.fail(&format!("tc {other}"), "")?;
    desk.fail(&format!("tc {}", filter.replace("handle 0x1 ", "")), "")?;
    if state()? != before {
        return Err(format!("a refused change is none:\n{before}\n{}", state()?).into());
    }
    Ok(())
}
