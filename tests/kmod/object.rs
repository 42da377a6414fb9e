//! What the compiler makes of the core for a kernel: no way to a panic, no use of the registers that
//! belong to programs, nothing that a module can't be linked with.

use std::process::Command;

use tests::kmod::build;

/// The functions of `glue.c`, what every kernel has, and nothing else.
const KNOWN: [&str; 15] = [
    "__x86_return_thunk",
    "epochgate_dequeued",
    "epochgate_drop_queued",
    "epochgate_enqueued",
    "epochgate_kfree",
    "epochgate_kmalloc",
    "epochgate_not_enqueued",
    "epochgate_overlimit",
    "epochgate_print",
    "epochgate_schedule",
    "epochgate_skb_free",
    "epochgate_skb_len",
    "epochgate_skb_mark",
    "epochgate_watchdog",
    "memcpy",
];

fn tool(name: &str, arguments: &[&str], object: &std::path::Path) -> Option<String> {
    let output = Command::new(name).args(arguments).arg(object).output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        _ => {
            tests::skip(
                "kmod::object",
                &format!("no `{name}` (Debian package binutils)"),
            );
            None
        }
    }
}

#[test]
fn the_core_has_no_way_to_a_panic() {
    let place = tempfile::tempdir().expect("a directory");
    let object = build::core(place.path()).expect("rustc compiles the core");
    let Some(symbols) = tool(
        "nm",
        &["--undefined-only", "--format=just-symbols"],
        &object,
    ) else {
        return;
    };
    let unknown: Vec<&str> = symbols
        .lines()
        .map(|line| line.split_whitespace().last().unwrap_or_default())
        .filter(|name| !KNOWN.contains(name))
        .collect();
    assert!(unknown.is_empty(), "the core calls {unknown:?}");
    let Some(relocations) = tool("readelf", &["--relocs", "--wide"], &object) else {
        return;
    };
    let foreign = relocations
        .lines()
        .filter(|line| line.contains("R_X86_64_"));
    let foreign: Vec<&str> = foreign
        .filter(|line| line.contains("GOT") || line.contains("TLS") || line.contains("TPOFF"))
        .collect();
    assert!(foreign.is_empty(), "no module loader knows {foreign:?}");
    let Some(code) = tool("objdump", &["--disassemble", "--no-show-raw-insn"], &object) else {
        return;
    };
    assert!(
        code.contains("<epochgate_rs_enqueue>:"),
        "it is the right object"
    );
    assert!(
        !code.contains("%xmm"),
        "the registers of programs are in use"
    );
}

/// `glue.c` and the Rust side say the same things twice; here they are held together.
#[test]
fn the_c_side_says_the_same() {
    let glue = std::fs::read_to_string(build::sources().join("glue.c")).expect("glue.c");
    let [_, description, license] = kernel_module::MODULE_INFO;
    for line in [
        format!("MODULE_DESCRIPTION(\"{description}\");"),
        format!("MODULE_LICENSE(\"{license}\");"),
        format!(
            "#define EPOCHGATE_LONGEST {}\n",
            kernel_module::netlink::LONGEST
        ),
    ] {
        assert!(glue.contains(&line), "glue.c does not say {line}");
    }
    for name in KNOWN.iter().filter(|name| name.starts_with("epochgate_")) {
        let defined = glue.matches(&format!("{name}(")).count();
        assert!(defined >= 2, "glue.c declares and defines `{name}`");
    }
}
