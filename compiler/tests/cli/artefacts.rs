//! What `compile` makes of the examples, for both back ends, and what it leaves if it can't.

use std::fs;
use std::path::Path;

use crate::program::{policies, run, run_with};

/// The version of the tool stands in the artefacts; a release must not change every snapshot.
fn without_version(text: &str) -> String {
    text.replace(
        concat!("epochgate ", env!("CARGO_PKG_VERSION")),
        "epochgate VERSION",
    )
}

#[test]
fn artefacts_of_the_examples_are_as_they_were() {
    for policy in policies("examples") {
        let stem = Path::new(&policy)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        for backend in ["nft", "u32"] {
            let run = run(&["compile", &policy, "--backend", backend]);
            let text = if run.code == 0 {
                run.out
            } else {
                run.exits(1).err
            };
            insta::assert_snapshot!(format!("{stem}-{backend}"), without_version(&text));
        }
    }
    let script = run(&["compile", "examples/voip.gate", "--emit", "script"])
        .exits(0)
        .out;
    insta::assert_snapshot!("voip-script", without_version(&script));
    let hook = run(&["compile", "examples/voip.gate", "--emit", "xen-hook"])
        .exits(0)
        .out;
    insta::assert_snapshot!("voip-xen-hook", without_version(&hook));
}

#[test]
fn another_gate_is_one_line_of_the_script() {
    let args = ["compile", "examples/voip.gate", "--emit", "script"];
    let plug = run(&args).exits(0).out;
    let ours = run(&[&args[..], &["--gate", "epochgate"]].concat())
        .exits(0)
        .out;
    assert_eq!(plug.replace("GATE='plug'", "GATE='epochgate'"), ours);
    assert_ne!(plug, ours);
}

#[test]
fn a_hook_is_for_whatever_vif_xen_names() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_str().unwrap();
    let mut args = vec!["compile", "-", "--emit", "xen-hook", "-o", directory];
    run_with(&args, POLICY).exits(0);
    assert_eq!(names(place.path()), ["xen-hook.sh"]);
    let hook = fs::read_to_string(place.path().join("xen-hook.sh")).unwrap();
    assert!(
        !hook.contains("stands-here"),
        "a stand-in for a name is left"
    );
    for option in ["--vif=vif1.0", "--ifb=ifb0"] {
        args.truncate(4);
        args.push(option);
        let run = run_with(&args, POLICY).exits(2);
        assert!(run.err.contains("libxl names the vif"), "{}", run.err);
    }
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const POLICY: &[u8] = b"bypass udp dport 5004; buffer tcp;";

#[test]
fn both_artefacts_go_into_a_directory() {
    for (backend, suffix) in [("nft", "nft"), ("u32", "tc")] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().to_str().unwrap();
        let args = [
            "compile",
            "-",
            "--backend",
            backend,
            "--vif",
            "vif7.0",
            "-o",
            directory,
        ];
        run_with(&args, POLICY).exits(0);
        let mut expected = vec![format!("vif7.0.{suffix}"), String::from("vif7.0.sh")];
        expected.sort();
        assert_eq!(names(place.path()), expected);
        let rules = fs::read_to_string(place.path().join(format!("vif7.0.{suffix}"))).unwrap();
        let printed = run_with(&args[..6], POLICY).exits(0).out;
        assert_eq!(rules, printed, "the same bytes wherever they go");
        assert!(rules.contains("ifb-vif7.0"));
    }
}

#[test]
fn only_what_is_asked_for_is_written() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_str().unwrap();
    run_with(
        &["compile", "-", "--emit", "script", "-o", directory],
        POLICY,
    )
    .exits(0);
    assert_eq!(names(place.path()), ["vif1.0.sh"]);
}

#[test]
fn nothing_is_left_if_not_all_can_be_written() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_str().unwrap();
    fs::create_dir(place.path().join("vif1.0.sh")).unwrap();
    let run = run_with(&["compile", "-", "-o", directory], POLICY).exits(2);
    assert!(run.err.contains("vif1.0.sh"), "{}", run.err);
    assert_eq!(names(place.path()), ["vif1.0.sh"]);
    // A file system that no one can write to, not even the superuser.
    run_with(&["compile", "-", "-o", "/proc"], POLICY).exits(2);
}

#[test]
fn a_missing_directory_is_made() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("a/b");
    run_with(&["compile", "-", "-o", missing.to_str().unwrap()], POLICY).exits(0);
    assert_eq!(names(&missing), ["vif1.0.nft", "vif1.0.sh"]);
}

#[test]
fn nothing_is_written_without_proof() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_str().unwrap();
    for policy in [&b"bypass upd;"[..], b"bypass udp; expect buffer udp;"] {
        run_with(&["compile", "-", "-o", directory], policy).exits(1);
        assert_eq!(names(place.path()), Vec::<String>::new());
    }
}

#[test]
fn a_refusal_names_term_reason_and_who_can() {
    let policy = b"buffer tcp;\nbypass udp dport 5004 vlan 7;\n";
    let refused = run_with(&["compile", "-", "--backend", "u32"], policy).exits(1);
    assert_eq!(refused.out, "");
    insta::assert_snapshot!("refused", refused.err);
    run_with(&["compile", "-", "--backend", "nft"], policy).exits(0);
    let tried = run_with(&["test", "-", "--frames", "20"], b"bypass udp vlan 7;").exits(0);
    assert!(
        tried.out.contains("u32: refuses `vlan ID`"),
        "{}",
        tried.out
    );
    run_with(&["test", "-", "--backend", "u32"], b"bypass udp vlan 7;").exits(1);
}

#[test]
fn hostile_device_names_are_refused() {
    for name in [
        "",
        "a b",
        "a;reboot",
        "$(id)",
        "../x",
        "a/b",
        "-x",
        "0123456789abcdef",
        "a\nb",
    ] {
        for option in ["--vif", "--ifb"] {
            let argument = format!("{option}={name}");
            let run = run_with(&["compile", "-", &argument], POLICY).exits(2);
            assert_eq!(run.out, "");
        }
    }
}
