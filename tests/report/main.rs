//! The HTML page of a report, as a browser has it: charts and tables are there, the numbers in the
//! tables are those of the JSON in the page and of the JSON that the command prints, nothing goes
//! wrong, nothing is loaded, nothing is wider than a phone, and colours can be told apart, in light
//! and in dark.
//!
//! Skipped aloud where there is no Chromium (Debian package `chromium`).

mod browser;
mod told;

use std::time::Duration;

use browser::Browser;
use compiler::capture::Record;
use compiler::replay::{self, Compared};
use compiler::report::{Block, Page, html};
use compiler::simulate;
use compiler::simulate::paper::{Figure, reproduce};
use compiler::simulate::traffic::{self, Traffic};
use compiler::tune::utility::Weights;
use compiler::tune::{self, Plan, page, tune};
use policy_lang::source::SourceFile;
use policy_lang::{Policy, check};
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet::Verdict;
use qdisc_model::schedule::{Schedule, Timer};
use qdisc_model::simulate::{Bulk, Calls, Checkpoints, Codec, Config, Failover, Network, Verdicts};
use serde_json::Value;
use tests::skip;
use told::Told;

const MS: u64 = 1_000_000;

/// A report: its page, the JSON that the command prints, which numbers both have, and how many charts
/// and tables there are at least.
struct Report {
    name: &'static str,
    page: Page,
    json: Value,
    told: Told,
    charts: usize,
    tables: usize,
}

/// The name of the policy below.
const NAME: &str = "examples/media.gate";

fn media() -> (SourceFile, Policy) {
    let source = SourceFile::new(NAME, "bypass udp sport 16384-32767; default buffer;");
    let policy = check(&source).0.unwrap();
    (source, policy)
}

/// A short time with few calls.
fn config() -> Config {
    let held = Verdict::Buffer;
    Config {
        seed: 1,
        duration: 3_000 * MS,
        calls: Calls {
            count: 3,
            codec: Codec::G711,
            packet_time: 20 * MS,
            silences: false,
            timer_noise: MS / 5,
        },
        signalling_rate: 5.0,
        bulk: Some(Bulk { window: 64 << 10 }),
        verdicts: Verdicts {
            media: held,
            signalling: held,
            bulk: held,
        },
        limit: 1 << 20,
        checkpoints: None,
        network: Network {
            rate: 1e9,
            delay: 20 * MS,
            noise: 0,
            loss: 0.0,
        },
        failover: None,
        assumptions: Assumptions::default(),
        record: false,
    }
}

const CHECKPOINTS: Checkpoints = Checkpoints {
    interval: 0,
    timer: Timer::AfterCommit,
    pause: 5 * MS,
    dirty_rate: 4e6,
    working_set: 64e6,
    copy_rate: 1e9,
    link_rate: 1e9,
    acknowledgement: 0,
};

/// As `epochgate tune` makes it, of a short simulation.
fn tuned() -> Report {
    let (_, policy) = media();
    let plan = Plan {
        config: config(),
        checkpoints: CHECKPOINTS,
        traffic: Traffic::USUAL,
        range_ms: (10, 300),
        points: 6,
        seeds: 1,
        weights: Weights::default(),
        threads: 2,
    };
    let tuned = tune(&policy, &plan, |_, _| {});
    let json: Value = serde_json::from_str(&tune::json::tuned(NAME, &tuned)).unwrap();
    Report {
        name: "tune",
        page: page::page(NAME, &tuned),
        told: told::tune(json["curve"].as_array().unwrap().len()),
        json,
        charts: 5,
        tables: 2,
    }
}

/// As `epochgate simulate POLICY` makes it, with a failover.
fn compared() -> Report {
    let (source, policy) = media();
    let plan = simulate::Plan {
        config: Config {
            checkpoints: Some(Checkpoints {
                interval: 100 * MS,
                ..CHECKPOINTS
            }),
            failover: Some(Failover {
                at: 1_500 * MS,
                detection: 200 * MS,
                announcement: 100 * MS,
            }),
            record: true,
            ..config()
        },
        traffic: Traffic::USUAL,
    };
    let comparison = simulate::compare(&policy, &plan, |_, _| {});
    let judged = comparison.judged.iter();
    let traffic: Vec<_> = judged
        .map(|judged| traffic::told(&policy, &source, judged))
        .collect();
    let json = simulate::json::comparison(NAME, &traffic, &comparison);
    Report {
        name: "simulate",
        page: simulate::page::comparison(NAME, &traffic, &comparison),
        json: serde_json::from_str(&json).unwrap(),
        told: told::comparison(),
        charts: 3,
        tables: 2,
    }
}

/// Packets of a call, one each 20 ms; [`media`] holds those of all but the first.
fn packets(call: u16) -> Vec<Record> {
    let ports = [
        "20000 > 192.0.2.9:30000",
        "9000 > 192.0.2.9:30002",
        "9002 > 192.0.2.9:30004",
    ];
    let frame = |n: u16| {
        let text = format!(
            "udp 10.0.0.2:{} payload 8008{n:04x}{:08x}{:08x} len 172",
            ports[usize::from(call)],
            u32::from(n) * 160,
            0xabc0 + u32::from(call),
        );
        let frame = compiler::frame_text::parse(&text).unwrap();
        let time = Duration::from_millis(20 * u64::from(n) + u64::from(call));
        Record {
            number: 3 * u64::from(n) + u64::from(call) + 1,
            time,
            original_len: u32::try_from(frame.len()).unwrap(),
            frame,
        }
    };
    (0..100).map(frame).collect()
}

/// As `epochgate replay` makes it, of a call that passes and two that are held.
fn replayed() -> Report {
    let (_, policy) = media();
    let options = replay::Options {
        schedule: Schedule {
            interval: 300 * MS,
            timer: Timer::AfterCommit,
            pause: 10 * MS,
            transfer: 5 * MS,
        },
        limit: 1 << 20,
        guest: Vec::new(),
        assumptions: Assumptions::default(),
    };
    let mut records = [packets(0), packets(1), packets(2)].concat();
    records.sort_by_key(|record| record.number);
    let replayed = replay::replay(&policy, &options, &records);
    let verdicts: Vec<_> = replayed.streams.iter().map(Compared::verdict).collect();
    assert_eq!(verdicts, ["bypass", "buffer", "buffer"]);
    let told = replay::Told {
        options: &options,
        replayed: &replayed,
        left_out: 0,
        error: None,
    };
    Report {
        name: "replay",
        page: replay::page::page(NAME, "three calls", &told),
        json: serde_json::from_str(&replay::json::replayed(&told)).unwrap(),
        told: told::replay(3),
        charts: 2,
        tables: 1,
    }
}

/// What `inspect.js` finds in the page at a width and with a colour scheme.
fn inspected(browser: &mut Browser, width: u32, scheme: &str) -> Value {
    browser.look(width, scheme);
    let found = browser.evaluate(include_str!("inspect.js"));
    serde_json::from_str(found.as_str().unwrap()).unwrap()
}

/// The paper's figures, as `epochgate simulate --paper all` makes them.
fn paper() -> Report {
    let made = reproduce(&Figure::ALL, 1, |_, _| {});
    Report {
        name: "paper",
        page: simulate::page::paper(1, &made),
        json: serde_json::from_str(&simulate::json::paper(1, &made)).unwrap(),
        told: told::paper(),
        charts: 5,
        tables: 2,
    }
}

#[test]
fn pages_in_a_browser() {
    let Some(chromium) = browser::find() else {
        skip("pages_in_a_browser", "there is no chromium");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let mut browser = Browser::start(&chromium, place.path());
    for report in [tuned(), compared(), paper(), replayed()] {
        let Report { name, page, .. } = &report;
        let file = place.path().join(format!("{name}.html"));
        std::fs::write(&file, html::page(page)).unwrap();
        let url = format!("file://{}", file.display());
        browser.requests.clear();
        browser.open(&url);
        for (width, scheme) in [
            (320, "light"),
            (320, "dark"),
            (1280, "light"),
            (1280, "dark"),
        ] {
            let seen = inspected(&mut browser, width, scheme);
            let at = format!("{name} at {width} px, {scheme}");
            fits(&seen, width, &at);
            charts_are_there(&seen, page, report.charts, &at);
            numbers_are_those_of_the_json(&seen, page, report.tables, &at);
            assert_eq!(report.told.differs(&seen, &report.json), None, "{at}");
            can_be_told_apart(&seen, scheme, &at);
        }
        // Only now everything that could have gone wrong has had the time to.
        assert_eq!(browser.complaints, Vec::<String>::new());
        let asked = browser.requests.iter();
        let elsewhere = asked.filter(|request| **request != url && !request.starts_with("data:"));
        assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&String>::new());
        assert!(browser.requests.contains(&url), "{:?}", browser.requests);
    }
    browser.close();
}

/// A page with mistakes is seen to have them: a script error, a request, an overflow, a number that
/// is not that of the JSON, grey on grey.
#[test]
fn mistakes_are_found() {
    let Some(chromium) = browser::find() else {
        skip("mistakes_are_found", "there is no chromium");
        return;
    };
    let Report {
        page,
        told,
        mut json,
        ..
    } = tuned();
    let good = html::page(&page);
    let place = tempfile::tempdir().unwrap();
    let mut browser = Browser::start(&chromium, place.path());
    let mut with = |name: &str, old: &str, new: &str| {
        assert!(good.contains(old), "{old}");
        let file = place.path().join(name);
        std::fs::write(&file, good.replacen(old, new, 1)).unwrap();
        browser.complaints.clear();
        browser.requests.clear();
        browser.open(&format!("file://{}", file.display()));
        let seen = inspected(&mut browser, 320, "light");
        (seen, browser.complaints.clone(), browser.requests.clone())
    };
    let csp = "<meta http-equiv=\"Content-Security-Policy\"";
    let (_, complaints, _) = with(
        "script.html",
        "</main>",
        "<script>nothing.there()</script></main>",
    );
    assert!(
        !complaints.is_empty(),
        "the policy of the page forbids scripts"
    );
    let (_, complaints, _) = with("error.html", csp, "<script>nothing.there()</script><meta");
    assert!(!complaints.is_empty());
    let (_, _, requests) = with("request.html", csp, "<img src=\"other.png\"><meta");
    assert!(
        requests
            .iter()
            .any(|request| request.ends_with("other.png"))
    );
    let wide = "<main><p style=\"width: 400px\">wide</p>";
    let (seen, ..) = with("wide.html", "<main>", wide);
    assert!(seen["scroll_width"].as_f64() > Some(320.0));
    let (seen, ..) = with(
        "number.html",
        "<th scope=\"row\" class=\"n\">10</th>",
        "<th>11</th>",
    );
    assert_ne!(
        seen["tables"][0]["cells"][0][0],
        seen["data"]["sections"][1]["blocks"][7]["table"]["rows"][0][0].to_string()
    );
    assert!(told.differs(&seen, &json).is_some());
    let (seen, ..) = with("good.html", "<main>", "<main>");
    assert_eq!(told.differs(&seen, &json), None);
    json["curve"][3]["mos_held"] = 4.99.into();
    assert!(told.differs(&seen, &json).is_some());
    let (seen, ..) = with("grey.html", "--ink: #1b2430", "--ink: #999999");
    assert!(
        seen["contrasts"]["p"].as_f64() < Some(4.5),
        "{}",
        seen["contrasts"]
    );
    browser.close();
}

/// The page itself does not scroll sideways; a table may, within itself.
fn fits(seen: &Value, width: u32, at: &str) {
    assert_eq!(seen["width"], width, "{at}");
    assert!(
        seen["scroll_width"].as_f64() <= Some(f64::from(width)),
        "{at}: {}",
        seen["wide"]
    );
}

/// Each chart once, drawn, named and described, with a line for each of its series.
fn charts_are_there(seen: &Value, page: &Page, least: usize, at: &str) {
    let blocks = page.sections.iter().flat_map(|section| &section.blocks);
    let charts: Vec<_> = blocks
        .filter_map(|block| match block {
            Block::Chart(chart) => Some(chart),
            _ => None,
        })
        .collect();
    let drawn = seen["charts"].as_array().unwrap();
    assert!(charts.len() >= least && drawn.len() == charts.len(), "{at}");
    for (chart, drawn) in charts.iter().zip(drawn) {
        let at = format!("{at}: {}", chart.id);
        assert_eq!(drawn["id"], chart.id, "{at}");
        assert_eq!(drawn["title"], chart.title, "{at}");
        assert_eq!(drawn["visible"], 1, "{at}");
        assert!(drawn["description"].as_str().unwrap().len() > 40, "{at}");
        assert!(
            drawn["caption"].as_str().unwrap().contains(&chart.caption),
            "{at}"
        );
        let lines = drawn["lines"].as_u64().unwrap();
        assert!(lines >= chart.lines.len() as u64, "{at}: {lines} lines");
        assert!(
            drawn["text_px"].as_f64() >= Some(9.0),
            "{at}: {}",
            drawn["text_px"]
        );
        assert_eq!(drawn["outside"], 0, "{at}: text leaves the drawing");
    }
}

/// The cells of the tables say what the JSON in the page says, cell by cell.
fn numbers_are_those_of_the_json(seen: &Value, page: &Page, least: usize, at: &str) {
    let sections = seen["data"]["sections"].as_array().unwrap();
    let blocks = sections
        .iter()
        .flat_map(|section| section["blocks"].as_array().unwrap());
    let tables: Vec<&Value> = blocks.filter_map(|block| block.get("table")).collect();
    let shown = seen["tables"].as_array().unwrap();
    let blocks = page.sections.iter().flat_map(|section| &section.blocks);
    let made = blocks
        .filter(|block| matches!(block, Block::Table(_)))
        .count();
    assert!(made >= least, "{at}: {made} tables");
    assert_eq!((tables.len(), shown.len()), (made, made), "{at}");
    let mut numbers = 0;
    for (table, shown) in tables.iter().zip(shown) {
        assert_eq!(table["id"], shown["id"], "{at}");
        let (rows, cells) = (&table["rows"], shown["cells"].as_array().unwrap());
        assert_eq!(rows.as_array().unwrap().len(), cells.len(), "{at}");
        for (row, cells) in rows.as_array().unwrap().iter().zip(cells) {
            let cells = cells.as_array().unwrap();
            assert_eq!(row.as_array().unwrap().len(), cells.len(), "{at}");
            for (value, cell) in row.as_array().unwrap().iter().zip(cells) {
                let cell = cell.as_str().unwrap();
                match value {
                    Value::Number(number) => {
                        assert_eq!(number.as_f64(), cell.parse().ok(), "{at}: {cell}");
                        numbers += 1;
                    }
                    Value::String(text) => assert_eq!(cell, text, "{at}"),
                    other => assert_eq!((cell, other), ("–", &Value::Null), "{at}"),
                }
            }
        }
        assert_eq!(
            shown["headers"],
            table["columns"].as_array().unwrap().len(),
            "{at}"
        );
    }
    assert!(numbers > 40, "{at}: only {numbers} numbers");
}

/// Text has a contrast of at least 4.5 to its ground, lines of charts of at least 3 (WCAG 2.2,
/// 1.4.3 and 1.4.11), and the ground is what the scheme says.
fn can_be_told_apart(seen: &Value, scheme: &str, at: &str) {
    let contrasts = seen["contrasts"].as_object().unwrap();
    assert!(contrasts.len() > 10, "{at}: {contrasts:?}");
    for (what, contrast) in contrasts {
        let least = if what.contains(".line") { 3.0 } else { 4.5 };
        assert!(contrast.as_f64() >= Some(least), "{at}: {what}: {contrast}");
    }
    assert_eq!(seen["dark"], scheme == "dark", "{at}");
}
