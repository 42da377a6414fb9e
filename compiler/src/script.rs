//! The deploy script: one POSIX shell file per vif, with the rules inside. And the hook for Xen, the
//! same for whatever vif `xl remus` names when it calls it.
//!
//! The order of its steps is what keeps held packets in (DESIGN section 3 and the kernel facts
//! there): the plug stands before any rule sends to it, tc filters change under a guard that
//! holds everything, nftables rules change in one transaction.

use minijinja::{Environment, UndefinedBehavior, Value, context};
use policy_lang::Policy;

use crate::backend::{Kind, Target};
use crate::device::Device;

/// Bytes the gate holds at most if the policy does not say: 64 MiB, some 40 ms at 10 Gbit/s.
pub const DEFAULT_LIMIT: u64 = 64 << 20;

/// Which qdisc holds the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// Linux's `sch_plug`.
    #[default]
    Plug,
    /// Our kernel module.
    Epochgate,
}

impl Gate {
    /// The kind of the qdisc, as `tc` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plug => "plug",
            Self::Epochgate => "epochgate",
        }
    }
}

/// What goes into a deploy script.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Devices and header.
    pub target: &'a Target,
    /// Which tool loads the rules.
    pub backend: Kind,
    /// What holds the frames.
    pub gate: Gate,
    /// The rules, proved before they come here.
    pub rules: &'a str,
    /// The text of the policy, which the script hands to `epochgate audit`.
    pub text: &'a str,
    /// The hash of the policy text.
    pub hash: &'a str,
    /// Most bytes that the gate holds.
    pub limit: u32,
}

/// The limit of the gate that a policy asks for, or the default.
#[must_use]
pub fn limit(policy: &Policy) -> u64 {
    policy.gate.limit.unwrap_or(DEFAULT_LIMIT)
}

/// The script as text.
///
/// # Errors
///
/// If the template is broken, which the tests would show.
pub fn deploy(parts: Parts<'_>) -> Result<String, minijinja::Error> {
    render(
        "deploy.sh",
        include_str!("script/deploy.sh.j2"),
        context! {
            header => &parts.target.header,
            vif => parts.target.vif.as_str(),
            ifb => parts.target.ifb.as_str(),
            backend => parts.backend.name(),
            gate => parts.gate.name(),
            table => table(&parts.target.vif),
            limit => parts.limit,
            policy => parts.hash,
            rules => parts.rules.trim_end(),
            text => parts.text.split_terminator('\n').map(str::to_owned).collect::<Vec<_>>(),
        },
    )
}

/// What goes into a hook for `xl remus -N`.
#[derive(Clone, Copy, Debug)]
pub struct HookParts<'a> {
    /// Lines that say where the script comes from.
    pub header: &'a [String],
    /// Which tool loads the rules.
    pub backend: Kind,
    /// The rules for [`Device::stand_ins`], proved before they come here.
    pub rules: &'a str,
    /// The hash of the policy text.
    pub hash: &'a str,
    /// Most bytes that the gate holds.
    pub limit: u32,
    /// The time between checkpoints that the policy asks for, in milliseconds.
    pub interval: Option<u128>,
}

/// The hook for Xen as text. What libxl expects of it: tools/libs/light/libxl_netbuffer.c.
///
/// # Errors
///
/// If the template is broken, which the tests would show.
pub fn xen_hook(parts: HookParts<'_>) -> Result<String, minijinja::Error> {
    render(
        "xen-hook.sh",
        include_str!("script/xen-hook.sh.j2"),
        context! {
            header => parts.header.to_vec(),
            backend => parts.backend.name(),
            limit => parts.limit,
            policy => parts.hash,
            interval => parts.interval.map(|time| time.to_string()),
            rules => with_variables(parts.rules.trim_end()),
        },
    )
}

/// Rules as the body of a here document in which the shell fills in the names.
fn with_variables(rules: &str) -> String {
    let quoted = rules
        .replace('\\', r"\\")
        .replace('`', r"\`")
        .replace('$', r"\$");
    let (vif, ifb) = Device::stand_ins();
    quoted
        .replace(&table(&vif), "$TABLE")
        .replace(vif.as_str(), "$VIF")
        .replace(ifb.as_str(), "$IFB")
}

fn render(name: &str, template: &str, values: Value) -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    Ok(templates.render_named_str(name, template, values)? + "\n")
}

/// The name of the nftables table of a vif.
#[must_use]
pub fn table(vif: &Device) -> String {
    format!("epochgate_{}", vif.identifier())
}
