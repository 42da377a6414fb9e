//! The whole pipeline on one page: policy, program, rules, read back, proof, script or hook.
//!
//! Nothing is returned unless the rules that were made, read back by code that knows nothing of
//! how they were made, are proved equal to the policy for every possible frame.

use policy_lang::{Policy, SpaceFull};
use qdisc_model::limit::{LARGEST_PACKET, admits_every_packet};
use sha2::{Digest, Sha256};

use crate::backend::bpf::{self, Instruction};
use crate::backend::{self, Kind, Refusal, Target};
use crate::device::Device;
use crate::lower::{TooManyAlternatives, lower};
use crate::readback::{self, Outcome, ReadbackError};
use crate::script::{self, Gate};
use crate::verify::{
    Broken, Counterexample, MaybeFull, Proof, in_space, verify_equivalent, verify_expectations,
};

/// What to compile, and for where.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The checked policy.
    pub policy: &'a Policy,
    /// The name of its file, for the headers of the artefacts.
    pub name: &'a str,
    /// Its text, for the hash in the headers.
    pub text: &'a str,
    /// Which rules to make.
    pub backend: Kind,
    /// The VM's interface.
    pub vif: Device,
    /// The interface that held frames are sent to.
    pub ifb: Device,
}

/// Proven artefacts.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The text for `nft -f` or `tc -batch`.
    pub rules: String,
    /// The script that deploys them.
    pub script: String,
    /// What was proved about the rules.
    pub proof: Proof,
}

/// A proven hook for Xen.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The script for `xl remus -N`, with the rules inside.
    pub script: String,
    /// What was proved about the rules.
    pub proof: Proof,
}

/// Why there are no artefacts.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// `expect` statements of the policy are not true.
    #[error("the policy does not keep {} of its expectations", .0.len())]
    Broken(Vec<Broken>),
    /// The plug can't have this limit, or no large packet would ever pass it.
    #[error(
        "the gate's limit of {limit} bytes is outside of {} to {}: it must take a whole \
         segmentation-offload packet, and sch_plug counts in 32 bits",
        LARGEST_PACKET,
        u32::MAX
    )]
    Limit {
        /// The limit that the policy asks for.
        limit: u64,
    },
    /// A condition explodes.
    #[error(transparent)]
    TooManyAlternatives(#[from] TooManyAlternatives),
    /// The back end can't express the policy exactly.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The rules that were made can't be read back: a bug in Epochgate.
    #[error("the rules that were made can't be read back: {0}")]
    Unreadable(ReadbackError),
    /// The rules that were made are not the policy: a bug in Epochgate.
    #[error("the rules that were made differ from the policy")]
    Differs(Counterexample),
    /// The proof needs more memory than it may take.
    #[error("{0}; the policy is too complicated to prove")]
    TooComplicated(SpaceFull),
    /// The template of the script is broken: a bug in Epochgate.
    #[error("the deploy script could not be written: {0}")]
    Script(#[from] minijinja::Error),
}

/// Compiles a policy and proves the result. The script puts the kernel's own plug behind the rules.
///
/// # Errors
///
/// [`CompileError`]; then nothing has been made.
pub fn compile(request: &Request<'_>) -> Result<Compiled, CompileError> {
    compile_for(request, Gate::Plug)
}

/// The same with another gate behind the rules.
///
/// # Errors
///
/// [`CompileError`]; then nothing has been made.
pub fn compile_for(request: &Request<'_>, gate: Gate) -> Result<Compiled, CompileError> {
    let limit = gate_limit(request.policy)?;
    let (rules, proof) = compile_rules(request)?;
    let script = script::deploy(script::Parts {
        target: &target(request),
        backend: request.backend,
        gate,
        rules: &rules,
        text: request.text,
        hash: &hash(request.text),
        limit,
    })?;
    Ok(Compiled {
        rules,
        script,
        proof,
    })
}

/// Compiles a policy to a hook for `xl remus -N` and proves its rules. The devices of the request are
/// not looked at: libxl names the vif when it calls the hook.
///
/// # Errors
///
/// [`CompileError`]; then nothing has been made.
pub fn compile_xen_hook(request: &Request<'_>) -> Result<Hook, CompileError> {
    let (vif, ifb) = Device::stand_ins();
    let request = Request {
        vif,
        ifb,
        ..request.clone()
    };
    let limit = gate_limit(request.policy)?;
    // Without a header: the name of a policy must not get into a text that the shell expands.
    let bare = Target {
        header: Vec::new(),
        ..target(&request)
    };
    let (rules, proof) = proved_rules(&request, &bare)?;
    let header = provenance(&request);
    let script = script::xen_hook(script::HookParts {
        header: &header,
        backend: request.backend,
        rules: &rules,
        hash: &hash(request.text),
        limit,
        interval: request.policy.gate.interval.map(|time| time.as_millis()),
    })?;
    Ok(Hook { script, proof })
}

/// Compiles a policy to proven rules without a script.
///
/// # Errors
///
/// [`CompileError`]; then nothing has been made.
pub fn compile_rules(request: &Request<'_>) -> Result<(String, Proof), CompileError> {
    proved_rules(request, &target(request))
}

/// The rules for a target, and the proof that they are the policy.
fn proved_rules(request: &Request<'_>, target: &Target) -> Result<(String, Proof), CompileError> {
    let policy = request.policy;
    let rules = emit(request, target)?;
    let proof = in_space(|space| {
        let broken = verify_expectations(space, policy)?;
        if !broken.is_empty() {
            return Err(CompileError::Broken(broken));
        }
        let outcome = read_back(request.backend, space, &rules, &request.vif)?;
        verify_equivalent(space, policy, &outcome, &request.ifb)?.map_err(CompileError::Differs)
    })?;
    Ok((rules, proof))
}

/// The program of the bpf back end, proved as part of its rules.
///
/// # Errors
///
/// [`CompileError`]; then nothing has been made.
pub fn compile_program(request: &Request<'_>) -> Result<(Vec<Instruction>, Proof), CompileError> {
    let (_, proof) = compile_rules(request)?;
    let program = lower(request.policy)?;
    Ok((bpf::assemble(&program, request.policy)?, proof))
}

/// The rules alone, without proof: for whoever judges them by other means.
///
/// # Errors
///
/// [`CompileError`] if the policy can't be lowered or the back end refuses it.
pub fn make_rules(request: &Request<'_>) -> Result<String, CompileError> {
    emit(request, &target(request))
}

fn emit(request: &Request<'_>, target: &Target) -> Result<String, CompileError> {
    let program = lower(request.policy)?;
    Ok(backend::emit(
        request.backend,
        &program,
        request.policy,
        target,
    )?)
}

/// The byte limit of the gate. A gate smaller than the largest packet would hold it back for ever.
fn gate_limit(policy: &Policy) -> Result<u32, CompileError> {
    let limit = script::limit(policy);
    match u32::try_from(limit) {
        Ok(limit) if admits_every_packet(limit) => Ok(limit),
        _ => Err(CompileError::Limit { limit }),
    }
}

/// What emitted rules do to every frame.
///
/// # Errors
///
/// [`ReadbackError`] if they can't be read, or the sets outgrow their space.
pub fn read_back(
    backend: Kind,
    space: &policy_lang::Space,
    rules: &str,
    vif: &Device,
) -> Result<Outcome, ReadbackError> {
    match backend {
        Kind::Nft => readback::nft::read_text(space, rules, vif.as_str()),
        // One reader for all that hangs at tc's hook.
        Kind::U32 | Kind::Bpf | Kind::Flower => {
            readback::u32::read_batch(space, rules, vif.as_str())
        }
    }
}

/// The SHA-256 of a policy text as hexadecimal digits.
#[must_use]
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The target with the header that each artefact carries.
fn target(request: &Request<'_>) -> Target {
    let mut header = provenance(request);
    header.push(format!(
        "vif {}, held frames go to {}",
        request.vif, request.ifb
    ));
    Target {
        vif: request.vif.clone(),
        ifb: request.ifb.clone(),
        header,
    }
}

/// Where an artefact comes from: no date, so that the same input gives the same bytes.
fn provenance(request: &Request<'_>) -> Vec<String> {
    let name: String = request
        .name
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    vec![
        format!(
            "made by epochgate {} ({} back end)",
            env!("CARGO_PKG_VERSION"),
            request.backend
        ),
        format!("policy {name}, sha256 {}", hash(request.text)),
    ]
}

impl From<SpaceFull> for CompileError {
    fn from(full: SpaceFull) -> Self {
        Self::TooComplicated(full)
    }
}

impl From<ReadbackError> for CompileError {
    fn from(error: ReadbackError) -> Self {
        match error {
            ReadbackError::Full(full) => Self::TooComplicated(full),
            other @ ReadbackError::NotUnderstood { .. } => Self::Unreadable(other),
        }
    }
}

impl MaybeFull for CompileError {
    fn is_full(&self) -> bool {
        matches!(self, Self::TooComplicated(_))
    }
}
