//! A peer beside us: Aerleon, which makes rules for many firewalls from one policy. It is taken from PyPI into a
//! Python environment of its own in the lab's cache, at one version, so that numbers can be compared.
//!
//! What is written here is its documented YAML: a policy, and definitions of networks and services. It
//! makes stateful chains for the hooks of the machine's own traffic; a chain of the family inet may as well
//! hang at the ingress of a device, so that the line which says where it hangs is all that is changed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::generate::realistic::Rule;
use crate::lab::LabError;
use crate::lab::cache::Cache;

/// The version of Aerleon.
pub const VERSION: &str = "1.18.0";

/// Where its chain hangs as it writes it, and what has to stand there instead.
const HOOK: &str = "hook input priority";

/// Aerleon, installed.
#[derive(Debug)]
pub struct Peer {
    /// Its compiler.
    pub program: PathBuf,
}

impl Peer {
    /// The peer in the lab's cache, installed there if it is not.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] without Python, pip or a way to PyPI.
    pub fn installed() -> Result<Self, LabError> {
        let cache = Cache::open()?;
        let _alone = cache.lock_for("lock-peer")?;
        let place = cache.subdirectory(&format!("peer/aerleon-{VERSION}"))?;
        let program = place.join("bin/aclgen");
        if !program.exists() {
            succeed(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
            let mut pip = Command::new(place.join("bin/pip"));
            let wanted = format!("aerleon=={VERSION}");
            succeed(pip.args(["install", "--quiet", "--disable-pip-version-check", &wanted]))?;
        }
        Ok(Self { program })
    }
}

fn succeed(command: &mut Command) -> Result<(), LabError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let unavailable = |why: &str| LabError::Unavailable(format!("no Aerleon: `{name}`: {why}"));
    let done = command
        .output()
        .map_err(|error| unavailable(&error.to_string()))?;
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.trim().lines().next_back().unwrap_or("failed");
    done.status
        .success()
        .then_some(())
        .ok_or_else(|| unavailable(last))
}

/// A policy written for the peer, and where its rules will be.
#[derive(Debug)]
pub struct Written {
    /// What its compiler has to be called with.
    pub arguments: Vec<String>,
    /// The rules that it makes then.
    pub rules: PathBuf,
}

/// Writes a policy below `place`: what these rules ask for is dropped, all else passes.
///
/// # Errors
/// When a file can't be written.
pub fn write(rules: &[Rule], place: &Path) -> std::io::Result<Written> {
    let below = |name: &str| place.join(name).to_string_lossy().into_owned();
    // It looks for policies in directories of this name only.
    fs::create_dir_all(place.join("policies/pol"))?;
    fs::create_dir_all(place.join("definitions"))?;
    fs::create_dir_all(place.join("rules"))?;
    fs::write(place.join("policies/pol/peer.yaml"), policy(rules))?;
    fs::write(place.join("definitions/peer.yaml"), definitions(rules))?;
    Ok(Written {
        arguments: vec![
            String::from("--base_directory"),
            below("policies"),
            String::from("--definitions_directory"),
            below("definitions"),
            String::from("--output_directory"),
            below("rules"),
        ],
        rules: place.join("rules/peer.nft"),
    })
}

/// A term for each rule.
fn policy(rules: &[Rule]) -> String {
    let mut text = String::from(
        "filters:\n- header:\n    targets:\n      nftables: mixed input ACCEPT\n  terms:\n",
    );
    for (number, rule) in rules.iter().enumerate() {
        let port = match rule.port {
            "sport" => "source-port",
            _ => "destination-port",
        };
        let _ = writeln!(
            text,
            "  - name: term{number}\n    protocol: {}\n    source-address: NET{number}\n    \
             {port}: PORT{number}\n    action: deny",
            rule.protocol
        );
    }
    text
}

/// The networks and ports that the terms name.
fn definitions(rules: &[Rule]) -> String {
    let mut text = String::from("networks:\n");
    for (number, rule) in rules.iter().enumerate() {
        let _ = writeln!(
            text,
            "  NET{number}:\n    values:\n    - address: {}",
            rule.source
        );
    }
    text.push_str("services:\n");
    for (number, rule) in rules.iter().enumerate() {
        let ports = match rule.low == rule.high {
            true => rule.low.to_string(),
            false => format!("{}-{}", rule.low, rule.high),
        };
        let _ = writeln!(
            text,
            "  PORT{number}:\n  - protocol: {}\n    port: {ports}",
            rule.protocol
        );
    }
    text
}

/// Its rules at the ingress of a device; `None` if they do not hang where they were asked to.
#[must_use]
pub fn at_ingress(rules: &str, device: &str) -> Option<String> {
    let place = format!("hook ingress device \"{device}\" priority");
    (rules.matches(HOOK).count() == 1).then(|| rules.replace(HOOK, &place))
}

/// Two frames for a rule as text: one that it asks for, and one whose port is just beyond.
#[must_use]
pub fn frames(rule: &Rule) -> [String; 2] {
    let address = rule.source.split('/').next().unwrap_or_default();
    let (from, to) = match address.contains(':') {
        true => (format!("[{address}1]"), "[2001:db8:ffff::1]"),
        false => (address.to_owned(), "192.168.1.2"),
    };
    [rule.low, rule.high + 1].map(|port| match rule.port {
        "sport" => format!("{} {from}:{port} > {to}:9", rule.protocol),
        _ => format!("{} {from}:9 > {to}:{port}", rule.protocol),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::checked;
    use crate::generate::realistic;
    use policy_lang::Verdict;
    use policy_lang::classify::classify;

    /// The policy is written once per rule, with what the rule asks for.
    #[test]
    fn each_rule_is_a_term() {
        let rules: Vec<Rule> = (0..1_000).map(realistic::rule).collect();
        let policy = policy(&rules);
        assert_eq!(policy.matches("- name: term").count(), 1_000);
        assert_eq!(policy.matches("action: deny").count(), 1_000);
        let definitions = definitions(&rules);
        assert_eq!(definitions.matches("- address: ").count(), 1_000);
        assert_eq!(definitions.matches("    port: ").count(), 1_000);
        assert!(policy.contains("  - name: term7\n    protocol: tcp\n    source-address: NET7\n    destination-port: PORT7\n"));
        assert!(definitions.contains("  NET7:\n    values:\n    - address: 10.0.7.0/24\n"));
        assert!(definitions.contains("  PORT7:\n  - protocol: tcp\n    port: 1031\n"));
    }

    /// The frames are on both sides of their rules, to the judge.
    #[test]
    fn frames_are_at_the_edge_of_their_rule() {
        let policy = checked("test.gate", &realistic::policy(64, Verdict::Buffer));
        for number in 0..64 {
            let verdicts = frames(&realistic::rule(number)).map(|text| {
                let frame = compiler::frame_text::parse(&text).expect(&text);
                classify(&policy, &frame).verdict
            });
            assert_eq!(verdicts, [Verdict::Buffer, Verdict::Bypass], "{number}");
        }
    }

    #[test]
    fn only_the_hook_is_changed() {
        let rules = "chain root0 {\n type filter hook input priority 0; policy accept;\n}";
        assert_eq!(
            at_ingress(rules, "vif0").as_deref(),
            Some(
                "chain root0 {\n type filter hook ingress device \"vif0\" priority 0; policy accept;\n}"
            )
        );
        assert_eq!(at_ingress("chain root0 {}", "vif0"), None);
    }
}
