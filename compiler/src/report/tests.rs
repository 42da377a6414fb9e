//! What a number looks like, and that a program reads the number that a person sees.

use super::Cell;

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
