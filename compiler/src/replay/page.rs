//! A replay as a page of [`crate::report`]: what the gate did, and each stream before and behind it.

use crate::report::{Axis, Block, Cell, Chart, Column, Fact, Line, Page, Section, Style, Table};
use crate::simulate::page::SATURATES;

use super::{Compared, Figures, Told};

/// The whole report on `capture`, sent through the gate of `policy`.
#[must_use]
pub fn page(policy: &str, capture: &str, told: &Told<'_>) -> Page {
    let mut introduction = vec![String::from(
        "The capture is taken for what the guest sent, and when. Each RTP stream in it is heard twice: \
         as it was captured, and as it leaves the gate.",
    )];
    introduction.extend(
        told.error
            .map(|error| format!("The capture is damaged, and replayed up to there. {error}")),
    );
    Page {
        title: format!("{capture} through the gate of {policy}"),
        introduction,
        sections: vec![
            Section {
                heading: String::from("The gate"),
                blocks: vec![Block::Facts(gate(told))],
            },
            Section {
                heading: String::from("The streams"),
                blocks: streams(&told.replayed.streams),
            },
        ],
    }
}

fn gate(told: &Told<'_>) -> Vec<Fact> {
    let (schedule, replayed) = (told.options.schedule, told.replayed);
    let ms = |nanoseconds: u64| Cell::number(nanoseconds as f64 / 1e6, 3);
    let (mean, longest) = replayed.waited_ms;
    vec![
        Fact::new("a checkpoint every", ms(schedule.period()), "ms"),
        Fact::new("stops the guest for", ms(schedule.pause), "ms"),
        Fact::new("is committed after", ms(schedule.transfer), "ms"),
        Fact::new("limit", told.options.limit, "bytes"),
        Fact::new("frames that passed", replayed.bypassed.packets, ""),
        Fact::new("frames held", replayed.held.packets, ""),
        Fact::new("held, at most", replayed.most_held.packets, "frames"),
        Fact::new("held, at most", replayed.most_held.bytes, "bytes"),
        Fact::new("waited, on average", Cell::number(mean, 3), "ms"),
        Fact::new("waited, at most", Cell::number(longest, 3), "ms"),
        Fact::new("dropped for want of room", replayed.overflow.packets, ""),
        Fact::new("not the guest's", replayed.foreign, ""),
        Fact::new("no Ethernet frames", told.left_out, ""),
    ]
}

fn streams(streams: &[Compared]) -> Vec<Block> {
    if streams.is_empty() {
        return vec![Block::Paragraph(String::from("No RTP stream was found."))];
    }
    let gaps = chart(
        streams,
        ("gaps", "Largest gap of each stream"),
        Axis::linear("gap", "ms").with(&[0.0]),
        |figures| Some(figures.max_delta_ms),
    );
    let mos = chart(
        streams,
        (
            "mos",
            "Opinion score of each stream behind the fixed jitter buffer",
        ),
        Axis::linear("MOS", "").with(&[1.0, 4.5]),
        |figures| figures.mos,
    );
    vec![
        Block::Chart(gaps),
        Block::Chart(mos),
        Block::Table(table(streams)),
        Block::Paragraph(String::from(SATURATES)),
    ]
}

/// One figure of all streams, in the order of the table.
fn chart(
    streams: &[Compared],
    (id, title): (&str, &str),
    y: Axis,
    figure: impl Fn(&Figures) -> Option<f64>,
) -> Chart {
    let line = |name: &str, side: fn(&Compared) -> &Figures| {
        let numbered = streams.iter().zip(1_u32..);
        Line {
            name: name.to_owned(),
            style: Style::Dots,
            points: numbered
                .filter_map(|(stream, number)| Some((f64::from(number), figure(side(stream))?)))
                .collect(),
        }
    };
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        caption: String::from("Streams are numbered as in the table."),
        x: Axis::linear("stream", "").with(&[0.0]),
        y,
        lines: vec![
            line("behind the gate", |stream| &stream.after),
            line("as captured", |stream| &stream.before),
        ],
        marks: Vec::new(),
    }
}

fn table(streams: &[Compared]) -> Table {
    let numbered = streams.iter().zip(1_u64..);
    Table {
        id: String::from("streams"),
        caption: String::from("Each stream as captured and as it leaves the gate."),
        columns: vec![
            Column::number("stream", ""),
            Column::text("ssrc"),
            Column::text("from"),
            Column::text("to"),
            Column::text("verdict"),
            Column::text("where"),
            Column::number("packets", ""),
            Column::number("lost", ""),
            Column::number("lost", "%"),
            Column::number("largest gap", "ms"),
            Column::number("mean jitter", "ms"),
            Column::number("largest jitter", "ms"),
            Column::number("longest burst", "packets"),
            Column::number("late", "packets"),
            Column::number("MOS", ""),
        ],
        rows: numbered
            .flat_map(|(stream, number)| {
                [
                    row(number, stream, "captured", &stream.before),
                    row(number, stream, "behind", &stream.after),
                ]
            })
            .collect(),
    }
}

fn row(number: u64, stream: &Compared, place: &str, figures: &Figures) -> Vec<Cell> {
    let (from, to) = stream.ends();
    vec![
        number.into(),
        format!("{:#010x}", stream.stream.key.ssrc).into(),
        from.into(),
        to.into(),
        stream.verdict().into(),
        place.into(),
        figures.packets.into(),
        Cell::number(figures.lost as f64, 0),
        Cell::number(figures.lost_percent, 1),
        Cell::number(figures.max_delta_ms, 3),
        Cell::maybe(figures.mean_jitter_ms, 3),
        Cell::maybe(figures.max_jitter_ms, 3),
        figures.longest_burst.into(),
        figures.fixed.map_or(Cell::Empty, |fixed| fixed.late.into()),
        Cell::maybe(figures.mos, 2),
    ]
}
