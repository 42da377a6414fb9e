//! What every diagnostic looks like, drawn for the cases that trigger it.

use crate::program::{policies, run};

#[test]
fn every_rejected_case_is_drawn() {
    for (directory, code) in [("tests/cases/reject", 1), ("tests/cases/warn", 0)] {
        for policy in policies(directory) {
            let run = run(&["check", "--no-lints", &policy]).exits(code);
            let name = policy
                .strip_prefix("tests/cases/")
                .unwrap()
                .replace('/', "-");
            insta::assert_snapshot!(name, run.transcript());
        }
    }
}

#[test]
fn accepted_cases_have_no_errors() {
    let mut args = vec![String::from("check")];
    args.extend(policies("tests/cases/accept"));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(&args).exits(0);
}
