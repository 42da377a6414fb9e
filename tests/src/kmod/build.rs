//! Builds the module. Where the kernel knows no Rust (Debian's 6.1 and 6.12), and where it does but
//! nothing of it is used (7.x), `rustc` makes one object of the core, and the kernel's own build system
//! links it with `glue.c`.
//!
//! The flags say what the kernel's build system would say where it knows Rust (arch/x86/Makefile,
//! scripts/generate_rust_target.rs): no SSE, no red zone, the code model of the kernel, thunks for
//! returns and indirect jumps. They are options of a nightly compiler, and RUSTC_BOOTSTRAP=1 is how
//! a kernel asks a released one for them. The core needs no function of `libcore` that is not inlined,
//! so the one that every toolchain has will do, although it was compiled for programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::cache::Cache;
use crate::lab::packages::run;
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

/// The module for the kernel of this release, in a directory of its own below `to`.
///
/// # Errors
/// [`LabError::Unavailable`] when headers or compilers can't be had.
pub fn module(
    cache: &Cache,
    kernel: Kernel,
    release: &str,
    to: &Path,
) -> Result<PathBuf, LabError> {
    let kbuild = kernel.kbuild(cache, release)?;
    let directory = to.join(release);
    fs::create_dir_all(&directory).map_err(LabError::io(directory.display()))?;
    let object = core(&directory)?;
    // The tables for unwinding are for programs; the kernel has its own.
    let bare = directory.join("epochgate_core.o_rust");
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["--remove-section", ".eh_frame"]);
    run(objcopy.args([&object, &bare])).map_err(LabError::Guest)?;
    fs::remove_file(&object).map_err(LabError::io(object.display()))?;
    for name in ["glue.c", "Kbuild"] {
        let copied = fs::copy(sources().join(name), directory.join(name));
        copied.map_err(LabError::io(name))?;
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
    Ok(directory.join("sch_epochgate.ko"))
}
