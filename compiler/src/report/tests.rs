//! A small page with all there is, in every format; and what a number looks like.

use super::{
    Axis, Block, Cell, Chart, Column, Fact, Line, Mark, Page, Place, Section, Style, Table, csv,
    html, svg, text,
};

fn both(cell: &Cell) -> (String, String) {
    (cell.written(), serde_json::to_string(cell).unwrap())
}

#[test]
fn numbers_are_the_same_for_people_and_programs() {
    for (cell, written, json) in [
        (Cell::number(4.405, 2), "4.41", "4.41"),
        (Cell::number(4.4, 2), "4.40", "4.4"),
        (Cell::number(-0.001, 2), "0.00", "0.0"),
        (Cell::number(-0.006, 2), "-0.01", "-0.01"),
        (Cell::from(48_448), "48448", "48448"),
        (Cell::number(1e20, 0), "100000000000000000000", "1e+20"),
        (Cell::maybe(None, 1), "", "null"),
        (Cell::from("a \"b\""), "a \"b\"", "\"a \\\"b\\\"\""),
    ] {
        assert_eq!(both(&cell), (written.to_owned(), json.to_owned()));
    }
}

fn small_chart() -> Chart {
    let line = |name: &str, style, points: &[(f64, f64)]| Line {
        name: name.to_owned(),
        style,
        points: points.to_vec(),
    };
    let mark = |label: &str, place| Mark {
        label: label.to_owned(),
        place,
    };
    Chart {
        id: String::from("mos"),
        title: String::from("Voice <quality>"),
        caption: String::from("Held media suffer & `bypass` media do not."),
        x: Axis::log("interval", "ms"),
        y: Axis::linear("MOS", "").with(&[1.0, 4.5]),
        lines: vec![
            line(
                "held",
                Style::Line,
                &[(10.0, 4.4), (100.0, 3.0), (1000.0, 1.0)],
            ),
            line(
                "passed",
                Style::Steps,
                &[(10.0, 4.4), (f64::NAN, 0.0), (100.0, 4.4), (1000.0, 4.2)],
            ),
            line(
                "measured",
                Style::Dots,
                &[(20.0, 4.3), (20.001, 4.3), (50.0, 4.0)],
            ),
        ],
        marks: vec![
            mark("knee", Place::X(60.0)),
            mark("chosen", Place::X(70.0)),
            mark("toll quality", Place::Y(4.0)),
            mark("best", Place::Point(900.0, 1.5)),
        ],
    }
}

fn small_table() -> Table {
    Table {
        id: String::from("runs"),
        caption: String::from("One row per interval."),
        columns: vec![
            Column::text("policy"),
            Column::number("interval", "ms"),
            Column::number("MOS", ""),
            Column::text("remark"),
        ],
        rows: vec![
            vec![
                "held, all".into(),
                Cell::number(40.0, 1),
                Cell::number(4.4, 2),
                "a \"b\"".into(),
            ],
            vec![
                "passed".into(),
                Cell::number(1000.0, 1),
                Cell::Empty,
                "<script>".into(),
            ],
        ],
    }
}

fn small_page() -> Page {
    let text = "A paragraph that is long enough to need a second line on a narrow terminal.";
    Page {
        title: String::from("A <small> page"),
        introduction: vec![String::from("What to know first.")],
        sections: vec![
            Section {
                heading: String::from("One"),
                blocks: vec![
                    Block::Paragraph(text.to_owned()),
                    Block::Facts(vec![
                        Fact::new("seed", 7, ""),
                        Fact::new("time simulated", Cell::number(12.5, 1), "s"),
                    ]),
                    Block::Chart(small_chart()),
                ],
            },
            Section {
                heading: String::from("Two"),
                blocks: vec![
                    Block::Table(small_table()),
                    Block::Code(String::from("gate {\n    interval 40ms;\n}\n")),
                ],
            },
            Section {
                heading: String::from("</script>"),
                blocks: Vec::new(),
            },
        ],
    }
}

#[test]
fn text_is_as_wide_as_the_terminal() {
    insta::assert_snapshot!("text", text::page(&small_page(), 60));
    let narrow = text::page(&small_page(), 34);
    insta::assert_snapshot!("text-narrow", narrow);
    for line in narrow.lines() {
        assert!(line.chars().count() <= 34, "{line}");
    }
}

#[test]
fn csv_quotes_what_must_be_and_leaves_no_point_out() {
    insta::assert_snapshot!("csv-table", csv::table(&small_table()));
    insta::assert_snapshot!("csv-chart", csv::chart(&small_chart()));
}

#[test]
fn svg_is_a_drawing_with_words() {
    insta::assert_snapshot!("svg", svg::chart(&small_chart()));
}

#[test]
fn html_is_one_file_that_loads_and_runs_nothing() {
    let page = html::page(&small_page());
    insta::assert_snapshot!("html", page);
    assert_eq!(page, html::page(&small_page()));
    assert_eq!(page.matches("<script").count(), 1, "the data alone");
    assert!(!page.contains("http://") && !page.contains("https://"));
}

/// No text that a page is made of can become an element or an attribute.
#[test]
fn no_text_breaks_out() {
    let nasty = "</script></style></title>\"><img src=x onerror=alert(1)>'\u{1b}[2J\0";
    let mut page = small_page();
    page.title = nasty.to_owned();
    page.introduction = vec![nasty.to_owned()];
    let mut chart = small_chart();
    for text in [
        &mut chart.title,
        &mut chart.caption,
        &mut chart.x.label,
        &mut chart.y.unit,
    ] {
        *text = nasty.to_owned();
    }
    chart.lines[0].name = nasty.to_owned();
    chart.marks[0].label = nasty.to_owned();
    let alone = svg::chart(&chart);
    page.sections[0].blocks = vec![
        Block::Chart(chart),
        Block::Code(nasty.to_owned()),
        Block::Facts(vec![Fact::new(nasty, nasty, nasty)]),
    ];
    for text in [html::page(&page), alone] {
        assert!(!text.contains("<img") && !text.contains('\0') && !text.contains('\u{1b}'));
        assert!(text.matches("</script>").count() <= 1);
    }
}

#[test]
fn a_page_without_anything_is_a_page() {
    let empty = Page {
        sections: vec![Section {
            heading: String::new(),
            blocks: vec![
                Block::Chart(Chart::default()),
                Block::Table(Table::default()),
                Block::Facts(Vec::new()),
                Block::Code(String::new()),
            ],
        }],
        ..Page::default()
    };
    assert!(html::page(&empty).ends_with("</html>\n"));
    assert!(text::page(&empty, 0).len() < 200);
}
