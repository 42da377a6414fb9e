//! What must be true at the vif, before the meaning of the rules is looked at: the device, whose
//! rules hang there, and whether they are whole.

use super::Scene;
use super::finding::{Code, Finding};
use crate::backend::Kind;

pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let vif = scene.vif;
    let mut found = |code, seen: String| findings.push(Finding::new(code, seen));
    let Some(link) = scene.link(vif) else {
        found(Code::VifMissing, format!("there is no device `{vif}`"));
        return;
    };
    if link.xdp {
        found(Code::Xdp, format!("`{vif}` runs an XDP program"));
    }
    if scene.qdiscs_of(vif).any(|qdisc| qdisc.shared) {
        found(
            Code::SharedBlock,
            format!("the filters of `{vif}` are a shared block"),
        );
    }
    let table = scene.tables.iter().find(|table| scene.is_ours(table));
    let hung = table.is_some_and(|table| table.hangs_at("ingress", vif));
    let filters = scene.filters.ours();
    let name = &scene.table;
    match (scene.backend, table.is_some(), hung) {
        (Kind::Nft, false, _) => found(Code::TableGone, format!("there is no table `{name}`")),
        (Kind::Nft, true, false) => found(
            Code::TableGone,
            format!("table `{name}` has no chain at the ingress of `{vif}`"),
        ),
        (Kind::Nft, true, true) if filters => {
            found(
                Code::Leftover,
                format!("`{vif}` has tc filters of ours in front"),
            );
        }
        (Kind::U32 | Kind::Bpf | Kind::Flower, _, _) => {
            if !filters {
                found(
                    Code::FiltersGone,
                    format!("our tc filters at `{vif}` are gone"),
                );
            }
            if hung {
                found(
                    Code::Leftover,
                    format!("the table `{name}` is there as well"),
                );
            }
        }
        (Kind::Nft, true, true) => {}
    }
    if hung
        && scene
            .hooked
            .as_ref()
            .is_some_and(|tables| !tables.contains(name))
    {
        let seen = format!("the kernel does not count table `{name}` among the hooks of `{vif}`");
        found(Code::NotHooked, seen);
    }
    if scene.filters.guarded(scene.ifb) {
        found(Code::GuardLeft, format!("`{vif}` has our guard at pref 1"));
    }
    if scene.filters.lead_nowhere() || (hung && table.is_some_and(|table| table.leads_nowhere)) {
        found(
            Code::LeadsNowhere,
            format!("our rules at `{vif}` redirect to no device"),
        );
    }
    for (pref, kind) in scene.filters.foreign(scene.ifb) {
        let seen = format!("`{vif}` has a `{kind}` filter at pref {pref} that is not ours");
        found(Code::ForeignFilter, seen);
    }
    for table in scene.tables.iter().filter(|table| !scene.is_ours(table)) {
        if table.hangs_at("ingress", vif) {
            let what = match table.hooks.iter().any(|hook| hook.flowtable) {
                true => "flowtable",
                false => "chain",
            };
            let (family, name) = (&table.family, &table.name);
            let seen = format!("table `{family} {name}` has a {what} at the ingress of `{vif}`");
            found(Code::ForeignHook, seen);
        }
    }
}
