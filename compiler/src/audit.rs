//! What has come loose: the running rules, and all that must be true around them.
//!
//! Pure: [`Listing`]s of what the system's tools print go in, [`Finding`]s come out. The rules are
//! read back by [`crate::readback`] and compared with the policy as sets of frames; what is around
//! them (devices, the plug, rules of others) is looked up in the listings. The kernel facts behind
//! each finding are told in docs/deploy.md. All listings are hostile input: nothing here panics.

mod filters;
mod finding;
mod gate;
mod hooks;
mod links;
mod listing;
mod proof;
mod rules;

#[cfg(test)]
mod tests;

use policy_lang::{Policy, SpaceFull};
use serde::Serialize;

use crate::backend::Kind;
use crate::device::Device;

pub use finding::{Code, Effect, Finding};
pub use listing::{BadListing, Listing, Output, commands, status_command};

/// What is to be audited.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// What the rules should mean.
    pub policy: &'a Policy,
    /// The VM's interface.
    pub vif: Device,
    /// The interface that holds frames.
    pub ifb: Device,
    /// The kind of rules that should be there; if `None`, the one that the IFB's alias names, or
    /// else nft.
    pub backend: Option<Kind>,
}

/// What the gate says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Numbers {
    /// Packets held now.
    pub held_packets: u64,
    /// Bytes held now.
    pub held_bytes: u64,
    /// Packets that the gate had no room for, since it was made.
    pub dropped: u64,
    /// Redirects that found the gate full or closed off, since the filters were made.
    pub overlimits: u64,
}

/// The outcome of an audit.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The kind of rules that was looked for.
    pub backend: Kind,
    /// What is wrong; empty if nothing is.
    pub findings: Vec<Finding>,
    /// How complicated the proof was, if the running rules equal the policy.
    pub proved: Option<usize>,
    /// What the gate says about itself.
    pub numbers: Numbers,
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A listing can't be read.
    #[error(transparent)]
    Listing(#[from] BadListing),
    /// The proof needs more memory than it may take.
    #[error("{0}; the running rules are too complicated to prove")]
    TooComplicated(#[from] SpaceFull),
}

impl crate::verify::MaybeFull for AuditError {
    fn is_full(&self) -> bool {
        matches!(self, Self::TooComplicated(_))
    }
}

/// What the listings say, in a form that can be asked.
struct Scene<'a> {
    vif: &'a str,
    ifb: &'a str,
    backend: Kind,
    /// The name of the nftables table of the vif.
    table: String,
    links: Vec<links::Link>,
    qdiscs: Vec<links::Qdisc>,
    /// The gate's qdisc once more, a moment later.
    later: Vec<links::Qdisc>,
    filters: filters::Filters,
    tables: Vec<hooks::Table>,
    /// What is really hooked at the vif, if the kernel says.
    hooked: Option<Vec<String>>,
    /// What our module says of itself, if it is there and was asked.
    module: Option<gate::Module>,
}

impl Scene<'_> {
    fn link(&self, name: &str) -> Option<&links::Link> {
        self.links.iter().find(|link| link.name == name)
    }

    fn qdiscs_of(&self, device: &str) -> impl Iterator<Item = &links::Qdisc> {
        self.qdiscs
            .iter()
            .filter(move |qdisc| qdisc.device == device)
    }

    fn gate(&self) -> Option<&links::Qdisc> {
        self.qdiscs_of(self.ifb).find(|qdisc| qdisc.root)
    }
}

/// Judges what was listed.
///
/// # Errors
///
/// [`AuditError`]: then nothing is known about the rules.
pub fn audit(subject: &Subject<'_>, listing: &Listing) -> Result<Audit, AuditError> {
    let scene = scene(subject, listing)?;
    let mut findings = Vec::new();
    rules::look(&scene, &mut findings);
    gate::look(&scene, &mut findings);
    let proved = proof::prove(&scene, subject, &mut findings)?;
    findings.sort_by_key(|found| found.code);
    findings.dedup();
    let gate = scene.gate();
    let numbers = Numbers {
        held_packets: gate.map_or(0, |gate| gate.held_packets),
        held_bytes: gate.map_or(0, |gate| gate.held_bytes),
        dropped: gate.map_or(0, |gate| gate.dropped),
        overlimits: scene.filters.overlimits,
    };
    Ok(Audit {
        backend: scene.backend,
        proved: proved.filter(|_| findings.is_empty()),
        findings,
        numbers,
    })
}

fn scene<'a>(subject: &'a Subject<'_>, listing: &Listing) -> Result<Scene<'a>, BadListing> {
    let [links, qdiscs, filters, ruleset, hooked, all_hooks, later] =
        commands(&subject.vif, &subject.ifb).map(|command| command.join(" "));
    let links = links::links(listing.must(&links)?)?;
    let vif = subject.vif.as_str();
    let there = links.iter().any(|link| link.name == vif);
    let ifb = subject.ifb.as_str();
    let named = links
        .iter()
        .find(|link| link.name == ifb)
        .and_then(|link| gate::backend(link, vif));
    let backend = subject.backend.or(named).unwrap_or(Kind::Nft);
    Ok(Scene {
        vif,
        ifb,
        backend,
        table: crate::script::table(&subject.vif),
        qdiscs: links::qdiscs(listing.must(&qdiscs)?, None)?,
        later: listing.may(&later).map_or_else(Vec::new, |text| {
            links::qdiscs(text, Some(ifb)).unwrap_or_default()
        }),
        // tc fails if there is no such device, which is a finding of its own.
        filters: match there {
            true => filters::filters(listing.must(&filters)?),
            false => filters::Filters::default(),
        },
        // Without nft there are no such rules, unless they are the ones that should be there.
        tables: match backend {
            Kind::Nft => hooks::tables(listing.must(&ruleset)?),
            _ => hooks::tables(listing.may(&ruleset).unwrap_or_default()),
        },
        hooked: hooks::hooked(listing.may(&hooked), listing.may(&all_hooks), vif),
        module: listing
            .may(&status_command(&subject.ifb))
            .and_then(gate::module),
        links,
    })
}
