//! `cargo xtask lab`: commands in guests with Debian's kernels.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, bail};
use tests::lab::cache::Cache;
use tests::lab::guest::Guest;
use tests::lab::image::{self, Extra};
use tests::lab::protocol::{Job, Outcome};
use tests::lab::qemu::Size;
use tests::lab::{Kernel, Target, build};

const USAGE: &str = "\
usage: cargo xtask lab [--target TARGET]... [FILTER]
       cargo xtask lab [OPTION]... -- COMMAND [ARGUMENT]...
       cargo xtask lab [--target TARGET]... --prefetch

The first form runs the tests that need a kernel on all targets, or on those given: those whose
names have FILTER in them. It is `cargo test --package tests --test lab`.

The second form boots Debian kernels in QEMU and runs a command in each guest, as root; passes its
output and its exit status on. The guest has iproute2, nftables, tcpdump, jq and the usual small
tools, no disk and no network. Our own `epochgate` is in its PATH.

  --target TARGET     qemu:6.1, qemu:6.12 or qemu:7, for tests also model and namespace; may be
                      given more than once; default for a command qemu:6.1
  --file HOST:GUEST   a file for the guest (absolute path there); keeps its permissions
  --program HOST      a program for the guest's PATH, with its debug symbols taken off
  --env NAME=VALUE    a variable for the command
  --seconds N         the command is killed after so long; default 600
  --memory MIB        default 512
  --smp N             processors of the guest; default 1
  --console           show the guest's console at the end
  --prefetch          only get packages and make images

LAB_ACCEL=kvm uses /dev/kvm. EPOCHGATE_LAB_CACHE is where packages are kept.
";

/// What was asked for.
#[derive(Debug)]
struct Request {
    targets: Vec<Target>,
    filter: Option<String>,
    extras: Vec<Extra>,
    environment: Vec<(String, String)>,
    seconds: u64,
    size: Size,
    console: bool,
    prefetch: bool,
    command: Vec<String>,
}

/// Runs the task; the exit status is that of the command in the last guest where it failed.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let ours = arguments.iter().take_while(|argument| *argument != "--");
    if ours.clone().any(|a| a == "--help" || a == "-h") {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let request = read(arguments)?;
    if request.command.is_empty() && !request.prefetch {
        return run_tests(&request);
    }
    let cache = Cache::open()?;
    let kernels = request.kernels()?;
    if request.prefetch {
        return Ok(prefetch(&cache, &kernels));
    }
    let mut worst = 0;
    for kernel in kernels {
        match run_on(&cache, kernel, &request)? {
            0 => {}
            status => worst = status,
        }
    }
    Ok(ExitCode::from(worst))
}

/// Runs the test `lab`.
fn run_tests(request: &Request) -> anyhow::Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--package", "tests", "--test", "lab", "--"]);
    command.args(&request.filter);
    if !request.targets.is_empty() {
        let names: Vec<String> = request.targets.iter().map(Target::to_string).collect();
        command.env("LAB_TARGET", names.join(","));
    }
    match command.status()?.success() {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

/// Gets the packages for all these kernels; says aloud what can't be had.
pub(crate) fn prefetch(cache: &Cache, kernels: &[Kernel]) -> ExitCode {
    for kernel in kernels {
        match image::prefetch(cache, *kernel) {
            Ok(base) => eprintln!("lab: {kernel} is {}", base.kernel.release),
            Err(reason) => eprintln!("lab: {kernel} can't be had: {reason}"),
        }
    }
    ExitCode::SUCCESS
}

impl Request {
    /// The kernels of the targets, or those that are meant when none is named.
    fn kernels(&self) -> anyhow::Result<Vec<Kernel>> {
        let kernel = |target: &Target| match target {
            Target::Qemu(kernel) => Ok(*kernel),
            other => bail!("`{other}` is no guest"),
        };
        match (self.targets.as_slice(), self.prefetch) {
            ([], true) => Ok(Kernel::ALL.into()),
            ([], false) => Ok(vec![Kernel::V6_1]),
            (targets, _) => targets.iter().map(kernel).collect(),
        }
    }
}

fn run_on(cache: &Cache, kernel: Kernel, request: &Request) -> anyhow::Result<u8> {
    let begin = Instant::now();
    let mut extras = request.extras.clone();
    extras.push(program(build::one(
        &["build", "--package", "compiler", "--bin", "epochgate"],
        "epochgate",
    )?));
    let image = image::build(cache, kernel, &build::init()?, &extras)?;
    let prepared = begin.elapsed();
    let mut guest = Guest::boot(&image, &request.size)?;
    eprintln!(
        "lab: {kernel}: prepared in {:.1} s; {}",
        prepared.as_secs_f64(),
        guest.describe(),
    );
    for failed in &guest.hello().failed_modules {
        eprintln!("lab: module {failed}");
    }
    let job = Job {
        command: request.command.clone(),
        environment: request.environment.clone(),
        limit_ms: request.seconds * 1000,
    };
    let ended = guest.run(job, |is_error, bytes| {
        // Nobody may be listening any more; the exit status is wanted all the same.
        let _ = if is_error {
            std::io::stderr().write_all(bytes)
        } else {
            std::io::stdout().write_all(bytes)
        };
    });
    if request.console {
        eprintln!("{}", guest.console());
    }
    let ended = ended?;
    match &ended.outcome {
        Outcome::Exited(0) => {}
        other => eprintln!("lab: {kernel}: {other:?} after {} ms", ended.duration_ms),
    }
    guest.power_off()?;
    Ok(ended.outcome.status())
}

fn program(host: PathBuf) -> Extra {
    let name = host.file_name().unwrap_or_default().to_string_lossy();
    Extra {
        guest: format!("/usr/local/bin/{name}"),
        strip: true,
        host,
    }
}

fn read(arguments: &[String]) -> anyhow::Result<Request> {
    let mut request = Request {
        targets: Vec::new(),
        filter: None,
        extras: Vec::new(),
        environment: Vec::new(),
        seconds: 600,
        size: Size::default(),
        console: false,
        prefetch: false,
        command: Vec::new(),
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("`{word}` wants a value"))
        };
        match word.as_str() {
            "--target" => {
                let target = value()?.parse().map_err(anyhow::Error::msg)?;
                request.targets.push(target);
            }
            "--file" => {
                let (host, guest) = value()?
                    .split_once(':')
                    .context("`--file` wants HOST:GUEST")?;
                request.extras.push(Extra {
                    host: host.into(),
                    guest: guest.to_owned(),
                    strip: false,
                });
            }
            "--program" => request.extras.push(program(value()?.into())),
            "--env" => {
                let (name, value) = value()?
                    .split_once('=')
                    .context("`--env` wants NAME=VALUE")?;
                request
                    .environment
                    .push((name.to_owned(), value.to_owned()));
            }
            "--seconds" => request.seconds = value()?.parse().context("`--seconds`")?,
            "--memory" => request.size.memory = value()?.parse().context("`--memory`")?,
            "--smp" => request.size.processors = value()?.parse().context("`--smp`")?,
            "--console" => request.console = true,
            "--prefetch" => request.prefetch = true,
            "--" => request.command = words.by_ref().cloned().collect(),
            other if !other.starts_with('-') && request.filter.is_none() => {
                request.filter = Some(other.to_owned());
            }
            other => bail!("`{other}` is no option; see `cargo xtask lab --help`"),
        }
    }
    if request.filter.is_some() && (request.prefetch || !request.command.is_empty()) {
        bail!("a filter is for tests; a command stands behind `--`");
    }
    Ok(request)
}
