//! What the compiler makes of the core for a kernel: no way to a panic, no use of the registers that
//! belong to programs, nothing that a module can't be linked with.

use std::process::Command;

use tests::kmod::build;

/// The one that is no function: where the fields lie that Rust reads.
const LAYOUT: &str = "epochgate_layout";
/// The functions of `glue.c`, what every kernel has, and nothing else.
const KNOWN: [&str; 13] = [
    "__x86_return_thunk",
    "epochgate_drop_queued",
    "epochgate_kfree",
    "epochgate_kmalloc",
    LAYOUT,
    "epochgate_overlimit",
    "epochgate_print",
    "epochgate_register",
    "epochgate_schedule",
    "epochgate_skb_free",
    "epochgate_unregister",
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

/// Each part of the stub says which file of a kernel with Rust it stands for, or that there is none.
#[test]
fn the_stub_says_what_it_stands_for() {
    let (mut files, mut waiting) = (0, vec![build::sources().join("kernel/src")]);
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).expect("the stub") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let heads = text
                .lines()
                .skip(1)
                .take_while(|line| line.is_empty() || line.starts_with("//!"));
            let heads: String = heads.collect();
            let says = ["Stands for", "Upstream has n", "rust/kernel/"];
            assert!(
                says.iter().any(|say| heads.contains(say)),
                "{}",
                path.display()
            );
            files += 1;
        }
    }
    assert!(files >= 10, "only {files} files");
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
    let layout = std::fs::read_to_string(build::sources().join("src/bindings/glue.rs"));
    let layout = layout.expect("glue.rs");
    let fields = |text: &str, begin: &str| -> Vec<String> {
        let (_, body) = text.split_once(begin).expect("the layout");
        let (body, _) = body.split_once('}').expect("its end");
        let words = body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let fields = words.filter(|word| !word.is_empty() && *word != "u32");
        fields.map(str::to_owned).collect()
    };
    let in_c = fields(&glue, "struct epochgate_layout {");
    assert_eq!(in_c, fields(&layout, "struct Layout {"));
    assert!(in_c.len() > 5, "{in_c:?}");
    let functions = KNOWN.iter().filter(|name| name.starts_with("epochgate_"));
    for name in functions.filter(|name| **name != LAYOUT) {
        let defined = glue.matches(&format!("{name}(")).count();
        assert!(defined >= 2, "glue.c declares and defines `{name}`");
    }
}
