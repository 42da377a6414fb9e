//! A dom0 in small: the laboratory, a hook, and a xenstore of files with the three tools that a hook
//! calls (tools/xs-clients/xenstore_client.c in Xen's source), which can be made to fail or to hang.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use compiler::backend::Kind;
use libtest_mimic::Failed;
use policy_lang::{Verdict, classify};
use tempfile::TempDir;
use tests::examples::Example;
use tests::netlab::{Lab, Observed, VIF};

/// The IFB of the laboratory's vif.
pub(super) const IFB: &str = "ifb-vif0";

/// Where libxl keeps what it knows about the network buffer of a vif.
const XENBUS_PATH: &str = "/libxl/7/remus/netbuf/0";

/// A path is a file. `rm -t` takes directories with it that have become empty, and removing what is not
/// there fails if the directory is not there either, as xenstored has it.
const STORE_TOOL: &str = r#"#!/bin/sh
case ${XENSTORE_FAULT-} in
    fail) echo "xenstore: connection refused" >&2; exit 1 ;;
    hang) exec sleep 60 ;;
esac
tidy=
[ "${1-}" != -t ] || { tidy=yes; shift; }
case $0 in
    *-write)
        while [ $# -gt 1 ]; do
            mkdir -p "$XENSTORE/${1%/*}" && printf %s "$2" >"$XENSTORE/$1" || exit 1
            shift 2
        done ;;
    *-rm)
        for path in "$@"; do
            [ -d "$XENSTORE/${path%/*}" ] || exit 1
            rm -rf "$XENSTORE/$path"
            [ -z "$tidy" ] || (cd "$XENSTORE" && p=${path#/} && rmdir -p "${p%/*}" 2>/dev/null)
        done
        exit 0 ;;
    *-read) cat "$XENSTORE/$1" ;;
esac
"#;

/// One dom0.
pub(super) struct Desk {
    pub(super) lab: Lab,
    files: TempDir,
}

/// What a call of the hook gets to feel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The command ends with a failure, undone.
    Fails,
    /// The command's caller is killed before the command has begun.
    Killed,
}

impl Desk {
    pub(super) fn new() -> Result<Self, Failed> {
        Self::with(Lab::new()?)
    }

    /// A dom0 where nothing that was held comes out by itself, even without a plug in the kernel.
    pub(super) fn closed() -> Result<Self, Failed> {
        Self::with(Lab::closed()?)
    }

    fn with(lab: Lab) -> Result<Self, Failed> {
        let desk = Self {
            lab,
            files: TempDir::new()?,
        };
        fs::create_dir(desk.store())?;
        for tool in ["read", "write", "rm"] {
            desk.tool("bin", &format!("xenstore-{tool}"), STORE_TOOL)?;
        }
        Ok(desk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub(super) fn tool(&self, directory: &str, name: &str, text: &str) -> Result<(), Failed> {
        let place = self.path(directory);
        fs::create_dir_all(&place)?;
        fs::write(place.join(name), text)?;
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Puts the hook for an example on the desk.
    pub(super) fn hook(&self, example: &Example, backend: Kind) -> Result<String, Failed> {
        let hook = example.xen_hook(backend)?;
        let name = format!("{}-{backend}", example.name);
        self.tool("hooks", &name, &hook.script)?;
        Ok(self.path("hooks").join(name).display().to_string())
    }

    /// Puts the deploy script for an example on the desk.
    pub(super) fn script(&self, example: &Example, backend: Kind) -> Result<String, Failed> {
        let name = format!("{}-{backend}.sh", example.name);
        let compiled = example.compile(backend, VIF, IFB)?;
        self.tool("hooks", &name, &compiled.script)?;
        Ok(self.path("hooks").join(name).display().to_string())
    }

    /// Shell text in dom0, with what libxl puts into the environment of a hook.
    fn command(&self, text: &str) -> Command {
        let mut command = self.lab.command("sh");
        let path = command
            .get_envs()
            .find_map(|(name, value)| (name == "PATH").then(|| value.map(ToOwned::to_owned))?)
            .or_else(|| std::env::var_os("PATH"))
            .unwrap_or_default();
        command
            .args(["-c", text])
            .env(
                "PATH",
                format!("{}:{}", self.path("bin").display(), path.display()),
            )
            .env("XENSTORE", self.store())
            .env("EPOCHGATE_LOCK_DIR", self.files.path())
            .env("vifname", VIF)
            .env("XENBUS_PATH", XENBUS_PATH)
            .env_remove("REMUS_IFB");
        command
    }

    pub(super) fn sh(&self, text: &str) -> Result<Output, Failed> {
        Ok(self.command(text).output()?)
    }

    /// Begins shell text without waiting for its end.
    pub(super) fn start(&self, text: &str) -> Result<Child, Failed> {
        let mut command = self.command(text);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    }

    pub(super) fn succeed(&self, text: &str) -> Result<String, Failed> {
        let output = self.sh(text)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{text}` failed: {said}").into())
    }

    /// The text must fail, say why, and, if it is a setup, tell libxl so.
    pub(super) fn fail(&self, text: &str, because: &str) -> Result<(), Failed> {
        let output = self.sh(text)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !said.contains(because) {
            return Err(format!("`{text}` should fail with `{because}`, said: {said}").into());
        }
        Ok(())
    }

    /// What the store has under the path of this vif.
    pub(super) fn stored(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.store().join(&XENBUS_PATH[1..]).join(key)).ok()
    }

    /// Whether anything at all is in the store.
    pub(super) fn store_is_empty(&self) -> bool {
        fs::read_dir(self.store()).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// What libxl does when the hook has ended well (netbuf_setup_script_cb, init_qdisc): it reads the
    /// name of the IFB, then any error, and insists on a plug at the root.
    pub(super) fn as_libxl_wants(&self) -> Result<(), Failed> {
        let ifb = self.stored("ifb").ok_or("no ifb in the store")?;
        if let Some(error) = self.stored("hotplug-error") {
            return Err(format!("libxl would stop at the error `{error}`").into());
        }
        let listing = self.succeed(&format!("tc -j qdisc show dev {ifb}"))?;
        let qdiscs: serde_json::Value = serde_json::from_str(&listing)?;
        let roots: Vec<_> = qdiscs
            .as_array()
            .into_iter()
            .flatten()
            .filter(|qdisc| qdisc.get("root").is_some())
            .collect();
        match roots[..] {
            [root] if root["kind"] == "plug" => Ok(()),
            _ => Err(format!("the root of {ifb} is no plug: {listing}").into()),
        }
    }

    /// Everything that a hook could change, without counters.
    pub(super) fn state(&self) -> Result<String, Failed> {
        self.succeed(
            "ip -o link show | sed 's/@.*//; s/<.*>.*alias/alias/; s/<.*//'; tc qdisc show; \
             tc filter show dev vif0 ingress 2>&1; nft -a list ruleset",
        )
    }

    /// Sends the frames and tells for each that the example holds whether it passed unbuffered.
    pub(super) fn passed(&self, example: &Example) -> Result<Vec<bool>, Failed> {
        let there = self
            .sh(&format!("ip link show dev {IFB}"))?
            .status
            .success();
        let frames = frames();
        let run = self.lab.run(there.then_some(IFB), &frames)?;
        let verdicts = frames.iter().map(|f| classify(&example.policy, f).verdict);
        let mut passed = Vec::new();
        for (verdict, seen) in verdicts.zip(&run.observations) {
            if verdict == Verdict::Buffer {
                passed.push(seen.observed == Observed::Bypassed);
            }
        }
        Ok(passed)
    }

    /// Puts stand-ins for all programs that a hook calls in front, each of which counts itself, and lets
    /// `fault` happen at the call with this number. Returns what has to stand before the call.
    pub(super) fn faulty(&self, call: usize, fault: Fault) -> Result<String, Failed> {
        let (here, counter) = (self.path("faulty"), self.path("calls"));
        fs::write(&counter, "")?;
        let (here, counter) = (here.display(), counter.display());
        let happens = match fault {
            Fault::Fails => "exit 1",
            // The hook itself, which may not be the parent: a subshell or `timeout` may.
            Fault::Killed => "{ kill -9 $(cat \"$HOOK_PID\"); exit 1; }",
        };
        for tool in TOOLS {
            let text = format!(
                "#!/bin/sh\necho {tool} >> {counter}\n[ $(wc -l < {counter}) != {call} ] || {happens}\n\
                 PATH=${{PATH#{here}:}}\nexec {tool} \"$@\"\n"
            );
            self.tool("faulty", tool, &text)?;
        }
        let pid = self.path("pid");
        Ok(format!(
            "PATH={here}:$PATH; export PATH; HOOK_PID={0}; export HOOK_PID; \
             sh -c 'echo $$ > {0}; exec sh \"$@\"' sh",
            pid.display()
        ))
    }

    /// The programs that were called since [`Self::faulty`].
    pub(super) fn calls(&self) -> Result<Vec<String>, Failed> {
        let text = fs::read_to_string(self.path("calls"))?;
        Ok(text.lines().map(ToOwned::to_owned).collect())
    }

    /// A file that nothing must make.
    pub(super) fn canary(&self) -> PathBuf {
        self.path("canary")
    }
}

/// Every program that setup and teardown call.
const TOOLS: [&str; 5] = ["ip", "tc", "nft", "flock", "timeout"];

/// A few frames of each kind that policies, and Xen's own rule, tell apart.
pub(super) fn frames() -> Vec<Vec<u8>> {
    WORDS
        .iter()
        .map(|text| compiler::frame_text::parse(text).expect("a frame"))
        .collect()
}

/// [`frames`] in words.
pub(super) const WORDS: [&str; 12] = [
    "tcp 10.0.0.2:80 > 192.0.2.9:40000",
    "udp 10.0.0.2:5060 > 192.0.2.9:5060 len 40",
    "udp 10.0.0.2:20000 > 192.0.2.9:30000 rtp pt 8",
    "udp 10.0.0.2:53 > 192.0.2.9:53 len 40",
    "icmp 10.0.0.2 > 192.0.2.9 type 8 code 0",
    "tcp [2001:db8::2]:80 > [2001:db8::9]:40000",
    "udp [2001:db8::2]:20000 > [2001:db8::9]:30000 rtp pt 8",
    "udp [2001:db8::2]:53 > [2001:db8::9]:53 len 40",
    "arp",
    "tcp 10.0.0.2:80 > 192.0.2.9:40000 vlan 5",
    "udp 10.0.0.2:5060 > 192.0.2.9:5060 len 40 vlan 5",
    "tcp [2001:db8::2]:80 > [2001:db8::9]:40000 vlan 5",
];
