//! The example policies of the repository, checked and compiled.

use std::fs;
use std::path::PathBuf;

use compiler::backend::Kind;
use compiler::compile::{CompileError, Compiled, Hook, Request, compile, compile_xen_hook};
use compiler::device::Device;
use policy_lang::Policy;
use policy_lang::source::SourceFile;

/// One policy of `examples/`.
#[derive(Debug)]
pub struct Example {
    /// The name of its file.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What it means.
    pub policy: Policy,
}

/// All policies of `examples/`, by name.
///
/// # Panics
///
/// If one can't be read or has an error.
#[must_use]
pub fn all() -> Vec<Example> {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"));
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .expect("the examples are part of the repository")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "gate"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).expect("examples are UTF-8");
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let policy = checked(&name, &text);
            Example { name, text, policy }
        })
        .collect()
}

/// The policy of a text without errors.
///
/// # Panics
///
/// If the text has errors.
#[must_use]
pub fn checked(name: &str, text: &str) -> Policy {
    let (policy, diagnostics) = policy_lang::check(&SourceFile::new(name, text));
    policy.unwrap_or_else(|| panic!("{name}: {diagnostics:#?}"))
}

impl Example {
    /// Compiles the policy for `vif` and `ifb`.
    ///
    /// # Errors
    ///
    /// As [`compile`].
    pub fn compile(&self, backend: Kind, vif: &str, ifb: &str) -> Result<Compiled, CompileError> {
        compile(&self.request(backend, vif, ifb))
    }

    /// Compiles the policy to a hook for `xl remus -N`.
    ///
    /// # Errors
    ///
    /// As [`compile_xen_hook`].
    pub fn xen_hook(&self, backend: Kind) -> Result<Hook, CompileError> {
        compile_xen_hook(&self.request(backend, "vif1.0", "ifb-vif1.0"))
    }

    fn request(&self, backend: Kind, vif: &str, ifb: &str) -> Request<'_> {
        Request {
            policy: &self.policy,
            name: &self.name,
            text: &self.text,
            backend,
            vif: Device::new(vif).expect("a good name"),
            ifb: Device::new(ifb).expect("a good name"),
        }
    }
}
