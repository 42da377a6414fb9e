//! Scenarios on the running kernel, in a network namespace: frames are sent into the VM's end of the
//! vif and looked for behind the bridge; counts are those that `tc` shows.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use compiler::backend::Kind;
use qdisc_model::command::Verb;
use tempfile::TempDir;

use super::{Link, Scenario, Step, World, play};
use crate::examples::{Example, checked};
use crate::netlab::{Lab, Session, VIF};

const IFB: &str = "ifb0";
/// A count that is not right after so long never will be.
const PATIENCE: Duration = Duration::from_secs(3);

/// Plays a scenario in a fresh laboratory, with rules of this back end.
///
/// # Errors
/// The first step that went otherwise than written.
pub fn run(lab: &Lab, scenario: &Scenario, backend: Kind) -> Result<(), String> {
    let session = lab.session().map_err(|e| e.to_string())?;
    let mut kernel = Kernel {
        lab,
        session,
        backend,
        files: TempDir::new().map_err(|e| e.to_string())?,
        deployed: None,
    };
    let deploys = |step: &Step| matches!(step, Step::Deploy(_));
    if !scenario.steps.iter().any(deploys) {
        kernel.direct("ip", MAKE_IFB)?;
    }
    play(scenario, &mut kernel)
}

const MAKE_IFB: &str = "link add ifb0 up type ifb";

#[derive(Debug)]
struct Kernel<'a> {
    lab: &'a Lab,
    session: Session,
    backend: Kind,
    files: TempDir,
    /// The script in place.
    deployed: Option<String>,
}

impl Kernel<'_> {
    fn shell(&self, text: &str) -> Result<String, String> {
        let output = self.lab.shell(text).map_err(|e| e.to_string())?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn rules(&self, text: &str) -> Result<(), String> {
        let rules = self.example(text).compile(self.backend, VIF, IFB);
        let rules = rules.map_err(|e| e.to_string())?.rules;
        let mut load = match self.backend {
            Kind::Nft => self.lab.command("nft"),
            _ => {
                self.direct("tc", "qdisc add dev vif0 clsact")?;
                self.lab.command("tc")
            }
        };
        match self.backend {
            Kind::Nft => load.args(["-f", "-"]),
            _ => load.args(["-batch", "-"]),
        };
        let child = load.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| e.to_string())?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(rules.as_bytes())
                .map_err(|e| e.to_string())?;
        }
        let output = child.wait_with_output().map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn example(&self, text: &str) -> Example {
        Example {
            name: String::from("scenario.gate"),
            text: text.to_owned(),
            policy: checked("scenario.gate", text),
        }
    }

    /// The script for a policy, in a file.
    fn script(&self, text: &str) -> Result<String, String> {
        let compiled = self.example(text).compile(self.backend, VIF, IFB);
        let script = compiled.map_err(|e| e.to_string())?.script;
        let number = fs::read_dir(self.files.path()).map_or(0, Iterator::count);
        let path = self.files.path().join(format!("{number}.sh"));
        fs::write(&path, script).map_err(|e| e.to_string())?;
        Ok(path.display().to_string())
    }

    fn direct(&self, program: &str, arguments: &str) -> Result<String, String> {
        let output = self.lab.direct(program, arguments);
        let output = output.map_err(|e| e.to_string())?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn tc(&self, verb: Verb, words: &str) -> bool {
        let verb = match verb {
            Verb::Add => "add",
            Verb::Change => "change",
            Verb::Replace => "replace",
        };
        let arguments = format!("qdisc {verb} dev {IFB} root plug {words}");
        self.lab.direct("tc", &arguments).is_ok()
    }

    fn look(&self, step: Step) -> Result<u64, String> {
        match step {
            // `backlog 300b 3p`: the packets come after the bytes.
            Step::Held(_) => Ok(sum_behind(&self.direct("tc", QDISC)?, "backlog", 1)),
            Step::Drops(_) => Ok(sum_behind(&self.direct("tc", QDISC)?, "dropped", 0)),
            Step::Lost(_) => Ok(sum_behind(&self.direct("tc", FILTERS)?, "overlimits", 0)),
            _ => Err(String::from("it is no count")),
        }
    }
}

/// What shows the counters of the gate, and those of the rules.
const QDISC: &str = "-s qdisc show dev ifb0 root";
const FILTERS: &str = "-s filter show dev vif0 ingress";

/// The numbers `skip` words behind each `word` in what `tc -s` shows, summed up over all places.
fn sum_behind(text: &str, word: &str, skip: usize) -> u64 {
    let words: Vec<&str> = text
        .split([' ', '(', ',', '\n'])
        .filter(|w| !w.is_empty())
        .collect();
    let places = words
        .iter()
        .enumerate()
        .filter(|(_, found)| **found == word);
    let numbers = places.filter_map(|(at, _)| words.get(at + 1 + skip));
    numbers
        .filter_map(|n| n.trim_end_matches('p').parse::<u64>().ok())
        .sum()
}

impl World for Kernel<'_> {
    fn act(&mut self, step: Step) -> Result<bool, String> {
        match step {
            Step::Rules(text) => self.rules(text)?,
            Step::Tc(verb, words) | Step::Refused(verb, words) => return Ok(self.tc(verb, words)),
            Step::Foreign => drop(self.direct("tc", "qdisc replace dev ifb0 root pfifo")?),
            Step::Delete => drop(self.direct("tc", "qdisc del dev ifb0 root")?),
            Step::Ifb(Link::Down) => drop(self.direct("ip", "link set ifb0 down")?),
            Step::Ifb(Link::Up) => drop(self.direct("ip", "link set ifb0 up")?),
            Step::Ifb(Link::Gone) => drop(self.direct("ip", "link del ifb0")?),
            Step::Ifb(Link::Made) => drop(self.direct("ip", MAKE_IFB)?),
            Step::VifGone => drop(self.direct("ip", "link del vif0")?),
            Step::Deploy(text) => {
                let script = self.script(text)?;
                self.shell(&format!("sh {script} apply"))?;
                self.deployed = Some(script);
            }
            Step::Swap(text) => {
                let (old, new) = (self.deployed.take(), self.script(text)?);
                let old = old.ok_or("there is no script to swap")?;
                self.shell(&format!("sh {old} swap {new}"))?;
                self.deployed = Some(new);
            }
            Step::Remove => {
                let script = self.deployed.take().ok_or("there is no script to remove")?;
                self.shell(&format!("sh {script} remove"))?;
            }
            _ => return Err(String::from("it changes nothing")),
        }
        Ok(true)
    }

    fn send(&mut self, frames: &[Vec<u8>]) -> Result<(), String> {
        self.session.send(frames).map_err(|e| e.to_string())
    }

    fn out(&mut self, expected: usize) -> Result<Vec<Vec<u8>>, String> {
        self.session.out(expected).map_err(|e| e.to_string())
    }

    fn count(&mut self, step: Step, expected: u64) -> Result<u64, String> {
        let begin = Instant::now();
        loop {
            let seen = self.look(step)?;
            if seen == expected || begin.elapsed() > PATIENCE {
                return Ok(seen);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sum_behind;

    #[test]
    fn counters_are_found_in_what_tc_shows() {
        let text = "qdisc plug 1: root refcnt 2\n Sent 0 bytes 0 pkt (dropped 2, overlimits 3 requeues 0)\n \
                    backlog 300b 4p requeues 0\n Action (dropped 0, overlimits 5 requeues 0)\n";
        assert_eq!(sum_behind(text, "dropped", 0), 2);
        assert_eq!(sum_behind(text, "overlimits", 0), 8);
        assert_eq!(sum_behind(text, "backlog", 1), 4);
    }
}
