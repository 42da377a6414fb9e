//! What rules cost a packet that comes near to one of them and matches none: on the running kernel, by its
//! clock, and in guests of the lab, in instructions.

use std::fs;
use std::path::Path;

use tests::cost::{self, Effort};
use tests::lab::cache::Cache;
use tests::lab::guest::Guest;
use tests::lab::image::{self, Extra};
use tests::lab::protocol::Job;
use tests::lab::qemu::{Clock, Size};
use tests::lab::{Kernel, LabError, build};

/// How much is measured on the machine at hand.
pub(super) const EFFORT: Effort = Effort {
    frames: 20_000,
    rounds: 7,
};

/// Loading ten thousand filters takes a while where every instruction is emulated.
const LIMIT_MS: u64 = 1_800_000;

const SIZE: Size = Size {
    memory: 1024,
    processors: 1,
    clock: Clock::Instructions,
};

/// Where the prepared rules are in a guest.
const THERE: &str = "/srv/cost";

/// The tables of costs.
pub(super) fn table() -> anyhow::Result<String> {
    let files = tempfile::tempdir()?;
    cost::prepare(files.path())?;
    let mut text = format!(
        "A 60-byte UDP packet, whose source is in a prefix of most sets and whose ports are in no rule, is\n\
         sent through a veth pair. A cell is the additional time as a part of the bare packet's, both measured\n\
         next to each other; – is a set that is refused. \"Ranges\" are the policies of the other benchmarks,\n\
         \"prefixes\" have a prefix and one of fifty ports in each rule.\n\n\
         On the machine at hand, by its clock, so that what else runs there shows: {} packets, the median of\n\
         {} rounds.\n\n",
        EFFORT.frames, EFFORT.rounds
    );
    text.push_str(&said(cost::table(EFFORT, files.path())));
    text.push_str(
        "\nIn guests of the lab, whose clock goes by a nanosecond for each instruction, so that this is no\n\
         time but a count, the same each time:\n",
    );
    for kernel in [Kernel::V6_1, Kernel::V6_12] {
        text.push('\n');
        text.push_str(&said(table_in_guest(kernel, files.path())));
    }
    Ok(text)
}

fn table_in_guest(kernel: Kernel, files: &Path) -> anyhow::Result<String> {
    let mut extras = Vec::new();
    for entry in fs::read_dir(files)? {
        let host = entry?.path();
        let name = host.file_name().unwrap_or_default().to_string_lossy();
        extras.push(Extra {
            guest: format!("{THERE}/{name}"),
            host: host.clone(),
            strip: false,
        });
    }
    Ok(in_guest(kernel, extras, vec![String::from(THERE)])?)
}

fn said(table: anyhow::Result<String>) -> String {
    table.unwrap_or_else(|reason| format!("Not measured: {reason:#}.\n"))
}

/// What `lab-cost` says in a guest with these files and arguments.
fn in_guest(
    kernel: Kernel,
    mut extras: Vec<Extra>,
    arguments: Vec<String>,
) -> Result<String, LabError> {
    let cache = Cache::open()?;
    let build = |name| build::one(&["build", "--package", "tests", "--bin", name], name);
    extras.push(Extra {
        host: build("lab-cost")?,
        guest: String::from("/usr/local/bin/lab-cost"),
        strip: true,
    });
    extras.sort_by(|a, b| a.guest.cmp(&b.guest));
    let image = image::build(&cache, kernel, &build("lab-init")?, &extras)?;
    let mut guest = Guest::boot(&image, &SIZE)?;
    let job = Job {
        command: [vec![String::from("lab-cost")], arguments].concat(),
        environment: Vec::new(),
        limit_ms: LIMIT_MS,
    };
    let table = guest.output_of(job)?;
    guest.power_off()?;
    Ok(table)
}
