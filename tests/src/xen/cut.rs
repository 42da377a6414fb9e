//! The cable for checkpoints is cut, and both boxes live: what libxl makes of it.

use std::time::Duration;

use super::failover::start;
use super::pair::{BACKUP, Pair};
use super::run::{Way, record};
use super::wire::ARMED;
use crate::lab::LabError;

/// Which box is asked.
#[derive(Clone, Copy)]
enum At {
    Primary,
    Backup,
}

/// What is so behind the cut, each with a command that succeeds if it is.
const CLAIMS: [(&str, At, &str); 6] = [
    (
        "the backup takes over",
        At::Backup,
        "tries=0; until [ -e /run/xen-lab/received ] && xl domid guest >/dev/null; do \
         tries=$((tries + 1)); [ $tries -lt 60 ] || exit 1; sleep 0.5; done",
    ),
    (
        "the primary notices, and its domU goes on",
        At::Primary,
        "tries=0; while pgrep -f '[x]l remus' >/dev/null; do \
         tries=$((tries + 1)); [ $tries -lt 60 ] || exit 1; sleep 0.5; done; \
         grep -q 'resuming domain at primary' /run/xen-lab/xl.log && xl domid guest >/dev/null",
    ),
    (
        "the hook was told to tear down: nothing is left",
        At::Primary,
        ". /lab/common.sh; nothing_left",
    ),
    (
        "the primary's domU talks, and nothing holds it",
        At::Primary,
        "[ $(timeout 2 tcpdump -Z root -n -Q out -i eth0 udp port 5060 2>/dev/null | grep -c SIP) -ge 20 ]",
    ),
    (
        "so does the backup's: libxl has no guard against a split brain",
        At::Backup,
        "[ $(timeout 2 tcpdump -Z root -n -Q in -i vif$(xl domid guest).0 udp port 5060 2>/dev/null | grep -c SIP) \
         -ge 20 ]",
    ),
    (
        "with the primary's domU destroyed the backup's is heard alone",
        At::Backup,
        "ip netns exec far ping -q -W 1 -c 5 10.9.0.2 >/dev/null",
    ),
];

/// Replicates, cuts the cable and tells what is so; a line for each claim, as `faults.sh` has them.
///
/// # Errors
/// When a box is dead, or with the number of claims that are wrong.
pub fn run(pair: &mut Pair, way: &Way, interval_ms: u32) -> Result<(), LabError> {
    let short = Duration::from_secs(60);
    start(pair)?;
    record(pair.primary()?, way, interval_ms, 3, Some(BACKUP))?;
    pair.backup.shell(&format!("touch {ARMED}"), short)?;
    pair.primary()?.shell("ip link set eth1 down", short)?;
    let mut wrong = 0;
    for (number, (claim, at, command)) in CLAIMS.iter().enumerate() {
        if number + 1 == CLAIMS.len() {
            pair.primary()?.shell("xl destroy guest", short)?;
        }
        let station = match at {
            At::Primary => pair.primary()?,
            At::Backup => &mut pair.backup,
        };
        match station.shell(command, Duration::from_secs(120)) {
            Ok(_) => println!("ok link cut: {claim}"),
            Err(error) => {
                wrong += 1;
                println!("WRONG link cut: {claim}\n    {error}");
            }
        }
    }
    pair.backup.shell(
        "xl destroy guest; pkill tcpdump; pkill lab-xen; pkill sipp; true",
        short,
    )?;
    match wrong {
        0 => Ok(()),
        _ => Err(LabError::Guest(format!("{wrong} claims are wrong"))),
    }
}
