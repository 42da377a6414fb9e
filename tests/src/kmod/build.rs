//! Builds the module. Against the kernel's own Rust its build system does it alone. Otherwise, where the
//! kernel knows no Rust (Debian's 6.1 and 6.12), or knows it but nothing of it is used (7.x), `rustc` makes
//! one object of the core, and the kernel's own build system links it with `glue.c`.
//!
//! The flags say what the kernel's build system would say where it knows Rust (arch/x86/Makefile,
//! scripts/generate_rust_target.rs): no SSE, no red zone, the code model of the kernel, thunks for
//! returns and indirect jumps. They are options of a nightly compiler, and RUSTC_BOOTSTRAP=1 is how
//! a kernel asks a released one for them. The core needs no function of `libcore` that is not inlined,
//! so the one that every toolchain has will do, although it was compiled for programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::lab::cache::Cache;
use crate::lab::packages::run;
use crate::lab::rust::took;
use crate::lab::{Kernel, LabError};

/// Kernels that the module is built for unless others are asked for. For 7.x a compiler has to be had
/// first, see [`crate::lab::kbuild`].
pub const KERNELS: [Kernel; 2] = [Kernel::V6_1, Kernel::V6_12];

const FLAGS: [&str; 18] = [
    "--edition=2024",
    "--cfg=MODULE",
    "--crate-type=rlib",
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cno-redzone=y",
    "-Cforce-unwind-tables=n",
    "-Ccodegen-units=1",
    "-Copt-level=2",
    "-Cjump-tables=n",
    // With them any sum that could overflow would leave a panic behind, which the test would find.
    "-Coverflow-checks=y",
    "-Ctarget-feature=-sse,-sse2,+soft-float",
    // Modules have no table of addresses (GOT).
    "-Zplt=yes",
    "-Zdirect-access-external-data=yes",
    "-Zcf-protection=branch",
    "-Zfunction-return=thunk-extern",
    "-Zretpoline-external-thunk",
];
/// `libcore` was made without thunks; what of it is inlined here gets them.
const MISMATCH: &str = "-Cunsafe-allow-abi-mismatch=retpoline,retpoline-external-thunk";

/// The sources of the module.
#[must_use]
pub fn sources() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = package.parent().unwrap_or(package);
    workspace.join("kernel-module")
}

/// Compiles the core into one object below `to`.
///
/// # Errors
/// When there is no `rustc` that does it, with what it said.
pub fn core(to: &Path) -> Result<PathBuf, LabError> {
    let sources = sources();
    let metadata = to.join("libkernel.rmeta");
    let object = to.join("epochgate_core.o");
    compile(&sources.join("kernel/src/lib.rs"), "kernel", |rustc| {
        // Metadata alone would lack what is to be inlined. All of it is, so this object stays unused.
        let unused = to.join("kernel.o");
        rustc.arg(format!(
            "--emit=metadata={},obj={}",
            metadata.display(),
            unused.display()
        ));
    })?;
    compile(&sources.join("src/lib.rs"), "kernel_module", |rustc| {
        rustc.arg(format!("--emit=obj={}", object.display()));
        rustc.arg(format!("--extern=kernel={}", metadata.display()));
    })?;
    Ok(object)
}

fn compile(source: &Path, name: &str, more: impl FnOnce(&mut Command)) -> Result<(), LabError> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(rustc);
    // The toolchain is that of the workspace, wherever this was called.
    rustc.current_dir(sources()).env("RUSTC_BOOTSTRAP", "1");
    rustc
        .args(FLAGS)
        .arg(MISMATCH)
        .arg(format!("--crate-name={name}"));
    more(&mut rustc);
    run(rustc.arg(source)).map(drop).map_err(LabError::Guest)
}

/// Where the core is compiled and against what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// By `rustc` here, on the stub of the crate `kernel`.
    Stub,
    /// By the kernel's build system, against the kernel's own crate.
    Rust,
}

/// The module for the kernel of this release, in a directory of its own below `to`.
///
/// # Errors
/// [`LabError::Unavailable`] when headers or compilers can't be had.
pub fn module(
    cache: &Cache,
    kernel: Kernel,
    release: &str,
    with: With,
    to: &Path,
) -> Result<PathBuf, LabError> {
    let (kbuild, name) = match with {
        With::Stub => (kernel.kbuild(cache, release)?, release.to_owned()),
        With::Rust => (
            kernel.kbuild_with_rust(cache, release)?,
            format!("{release}-rust"),
        ),
    };
    let begin = Instant::now();
    let directory = to.join(name);
    fs::create_dir_all(&directory).map_err(LabError::io(directory.display()))?;
    let makefile = match with {
        With::Stub => {
            bare_core(&directory)?;
            "Kbuild"
        }
        With::Rust => {
            copy_all(&sources().join("src"), &directory.join("src"))?;
            "Kbuild.rust"
        }
    };
    for (from, to) in [("glue.c", "glue.c"), (makefile, "Kbuild")] {
        let copied = fs::copy(sources().join(from), directory.join(to));
        copied.map_err(LabError::io(from))?;
    }
    let said = kbuild.make(&directory).output();
    let said = said.map_err(LabError::io("make"))?;
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let warned = text.lines().any(|line| line.contains("warning:"));
    if !said.status.success() || warned {
        return Err(LabError::Guest(format!(
            "the module for {release}:\n{text}"
        )));
    }
    if with == With::Rust {
        took("the module", begin);
    }
    Ok(directory.join("sch_epochgate.ko"))
}

/// The core as an object for a kernel.
fn bare_core(directory: &Path) -> Result<(), LabError> {
    let object = core(directory)?;
    // The tables for unwinding are for programs; the kernel has its own.
    let bare = directory.join("epochgate_core.o_rust");
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["--remove-section", ".eh_frame"]);
    run(objcopy.args([&object, &bare])).map_err(LabError::Guest)?;
    fs::remove_file(&object).map_err(LabError::io(object.display()))
}

fn copy_all(from: &Path, to: &Path) -> Result<(), LabError> {
    let failed = || LabError::io(from.display());
    fs::create_dir_all(to).map_err(failed())?;
    for entry in fs::read_dir(from).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy_all(&from, &to)?,
            false => fs::copy(&from, &to).map(drop).map_err(failed())?,
        }
    }
    Ok(())
}
