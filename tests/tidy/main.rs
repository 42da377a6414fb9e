//! The rules on the sources themselves (after rust-analyzer's tidy test): each rule is a pure
//! function from a file to its complaints, tried on a file that breaks it and then on all of ours.

mod directions;
mod files;
mod links;
mod rules;

use files::SourceFile;

/// Fails with all complaints at once, each as `path:line: what is wrong`.
fn assert_tidy(complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

/// Holds `rule` against every source file of the workspace.
fn hold_against_all(rule: impl Fn(&SourceFile) -> Vec<String>) {
    let files = files::all();
    assert!(
        files.len() > 20,
        "only {} files found: the walk is broken",
        files.len()
    );
    assert_tidy(&files.iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn rust_files_open_with_their_purpose() {
    hold_against_all(rules::head);
}

#[test]
fn rust_files_are_short() {
    hold_against_all(rules::length);
}

#[test]
fn no_file_is_named_mod_rs() {
    hold_against_all(rules::name);
}

#[test]
fn nothing_is_left_to_do() {
    hold_against_all(rules::left_to_do);
}

#[test]
fn no_line_ends_in_white_space() {
    hold_against_all(rules::white_space);
}

#[test]
fn no_path_of_a_developer_machine() {
    let private = rules::private_directories(&files::root());
    hold_against_all(|file| rules::private_paths(file, &private));
}

#[test]
fn links_lead_somewhere() {
    hold_against_all(|file| links::dead(file, &files::root()));
}

#[test]
fn read_back_and_back_ends_do_not_know_each_other() {
    hold_against_all(directions::two_readers);
}

#[test]
fn model_and_kernel_module_include_no_foreign_source() {
    hold_against_all(directions::two_answers);
}

#[test]
fn crates_depend_only_downwards() {
    let metadata = directions::metadata(&files::root());
    assert_tidy(&directions::upward(&metadata, &files::root()));
}
