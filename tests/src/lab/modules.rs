//! Kernel modules: which files a guest needs, and in what order they are loaded.
//!
//! Debian's packages hold no `modules.dep`; it is made when a kernel is installed. So what a module
//! depends on is read from the module itself: `depends=a,b` in its `.modinfo` section, as modpost
//! wrote it (scripts/mod/modpost.c).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::LabError;

/// What guests load at the start, if their kernel has it: the channel to the host, then all that
/// the rules and the tests need. A name that no file has is built in, or absent.
pub const WANTED: [&str; 42] = [
    "virtio_pci",
    "virtio_console",
    "af_packet",
    "unix",
    "veth",
    "dummy",
    "tun",
    "ifb",
    "bridge",
    "8021q",
    "vxlan",
    "sch_plug",
    "sch_ingress",
    "sch_prio",
    "sch_netem",
    "sch_tbf",
    "sch_fq_codel",
    "cls_u32",
    "cls_bpf",
    "cls_flower",
    "cls_matchall",
    "cls_basic",
    "em_meta",
    "act_mirred",
    "act_gact",
    "act_skbedit",
    "act_vlan",
    "act_pedit",
    "act_csum",
    "act_bpf",
    "act_police",
    "nf_tables",
    "nft_fwd_netdev",
    "nft_dup_netdev",
    "nft_log",
    "nft_limit",
    "nft_reject_netdev",
    "nft_counter",
    "nft_objref",
    "nfnetlink_log",
    "nfnetlink_hook",
    "macvlan",
];

/// A module, ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `_`.
    pub name: String,
    /// The ELF file, not compressed.
    pub contents: Vec<u8>,
}

/// The wanted modules below `directory` with those that they depend on, which come first.
///
/// # Errors
/// When a file can't be read or decompressed.
pub fn collect(directory: &Path, wanted: &[&str]) -> Result<Vec<Module>, LabError> {
    let mut files = BTreeMap::new();
    walk(&directory.join("kernel"), &mut files).map_err(LabError::io("can't list the modules"))?;
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for name in wanted {
        add(name, &files, &mut seen, &mut order)?;
    }
    Ok(order)
}

/// Adds one module behind those that it depends on.
fn add(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    seen: &mut BTreeSet<String>,
    order: &mut Vec<Module>,
) -> Result<(), LabError> {
    let Some(path) = files.get(name) else {
        return Ok(());
    };
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let contents = read(path)?;
    for needed in depends(&contents) {
        add(&needed, files, seen, order)?;
    }
    order.push(Module {
        name: name.to_owned(),
        contents,
    });
    Ok(())
}

/// All module files by the name of their module.
fn walk(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if let Some(name) = path.file_name().and_then(|n| module_name(n.to_str()?)) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// `nf-tables.ko.xz` holds `nf_tables`.
fn module_name(file: &str) -> Option<String> {
    let (name, suffix) = file.split_once(".ko")?;
    matches!(suffix, "" | ".xz" | ".zst" | ".gz").then(|| name.replace('-', "_"))
}

fn read(path: &Path) -> Result<Vec<u8>, LabError> {
    let program = match path.extension().and_then(|e| e.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).map_err(LabError::io(path.display())),
    };
    let output = Command::new(program).arg("-dc").arg(path).output();
    match output {
        Ok(output) if output.status.success() => Ok(output.stdout),
        _ => Err(LabError::Unavailable(format!(
            "`{program}` can't decompress the kernel's modules"
        ))),
    }
}

/// What the module says it depends on.
fn depends(contents: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"depends=";
    let found = contents.windows(KEY.len() + 1).position(|window| {
        let (before, key) = window.split_at(1);
        before == [0] && key == KEY
    });
    let Some(at) = found else {
        return Vec::new();
    };
    let value = &contents[at + 1 + KEY.len()..];
    let value = value.split(|&byte| byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    let names = value.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_first_and_once() {
        let place = tempfile::tempdir().unwrap();
        let net = place.path().join("kernel/net");
        fs::create_dir_all(&net).unwrap();
        let module = |name: &str, depends: &str| {
            let contents = format!("\x7fELF\0alias=x\0depends={depends}\0retpoline=Y\0");
            fs::write(net.join(name), contents).unwrap();
        };
        module("fwd-netdev.ko", "nf_tables,dup-netdev");
        module("dup-netdev.ko", "nf_tables");
        module("nf_tables.ko", "");
        module("other.ko", "");
        let modules = collect(place.path(), &["fwd_netdev", "nf_tables", "built_in"]).unwrap();
        let names: Vec<_> = modules.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["nf_tables", "dup_netdev", "fwd_netdev"]);
    }

    #[test]
    fn other_words_that_end_the_same_are_no_dependencies() {
        assert!(depends(b"\0softdepends=a\0").is_empty());
        assert_eq!(depends(b"\0depends=a-b\0"), ["a_b"]);
        assert!(depends(b"\0depends=\0").is_empty());
    }

    #[test]
    fn module_files_are_known_by_their_ends() {
        assert_eq!(module_name("a-b.ko.xz").as_deref(), Some("a_b"));
        assert_eq!(module_name("modules.dep"), None);
        assert_eq!(module_name("a.ko.orig"), None);
    }
}
