//! `epochgate gate` on the kernel's own plug, with a guest that floods: whatever is killed, cut or
//! taken down, no frame comes out before the commit of its epoch.

mod command;
mod latency;
pub(crate) mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use libtest_mimic::{Failed, Trial};
use qdisc_model::controller::LATE_RELEASES;

use crate::Here;
use world::{IFB, World};

const ROOMY: u32 = 8 << 20;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    let mut trials = command::trials(here);
    trials.extend(latency::trials(here));
    let mut add = |name: &str, run: fn(&str) -> Result<(), Failed>| {
        let name = format!("gate::{name}");
        let own_name = name.clone();
        let run = move || {
            // At once: a run that is cut off tells its failures only so.
            run(&own_name).inspect_err(|failed| eprintln!("{own_name}: {failed:?}"))
        };
        trials.push(here.trial_on_plug(&name, run));
    };
    add("releases_epoch_by_epoch", releases_epoch_by_epoch);
    add("two_epochs_in_flight", two_epochs_in_flight);
    add("killed_at_each_point_of_an_epoch", killed_at_each_point);
    add("client_killed_at_each_point", client_killed_at_each_point);
    add("the_link_flaps_before_the_commit", link_flaps);
    add(
        "the_queue_length_changes_before_the_commit",
        queue_length_changes,
    );
    add("a_foreign_command_is_noticed", foreign_command);
    add("without_the_daemon_a_flap_leaks", plain_plug_leaks);
    add("garbage_changes_nothing", garbage_changes_nothing);
    add("an_abort_drops_what_is_held", abort_drops);
    add("the_limit_is_counted", limit_is_counted);
    add("waits_while_the_gate_is_gone", waits_while_the_gate_is_gone);
    add("tells_systemd_and_cleans_up", tells_systemd);
    add("one_daemon_and_one_client", one_daemon_and_one_client);
    trials
}

/// Rounds of one epoch after another, each released with its own commit. After a start what was
/// held comes out late for a while, as docs/gate.md says; such rounds don't count.
fn rounds(world: &mut World, count: u64) -> Result<(), Failed> {
    let mut left = count;
    for _ in 0..count + 2 * u64::from(LATE_RELEASES) {
        world.flood(10)?;
        let (epoch, ended) = world.end()?;
        world.flood(5)?;
        let answer = world.commit(epoch)?;
        let exact = world.ask("status")?.contains(" strays=0 ");
        let on_time = exact && ended == format!("ok ended {epoch}");
        if on_time && answer == format!("ok released {epoch}") {
            world.comes_out(epoch)?;
            left -= 1;
        } else if !answer.starts_with("ok ") {
            return Err(answer.into());
        }
        if left == 0 {
            return Ok(());
        }
    }
    Err("the epochs stay late".into())
}

pub(crate) fn expect(found: &str, wanted: &str) -> Result<(), Failed> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("`{found}`, not `{wanted}`").into())
    }
}

fn ready(limit: u32, words: &[&str]) -> Result<World, Failed> {
    let mut world = World::new(limit)?;
    world.start(words)?;
    world.connect()?;
    Ok(world)
}

fn releases_epoch_by_epoch(name: &str) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    rounds(&mut world, 30)?;
    world.judge(name)
}

fn two_epochs_in_flight(name: &str) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    world.flood(5)?;
    let (mut older, _) = world.end()?;
    // Long enough for what was held before the start to be given up.
    for _ in 0..4 * u64::from(LATE_RELEASES) {
        world.flood(5)?;
        let (newer, _) = world.end()?;
        world.flood(5)?;
        let answer = world.commit(older)?;
        if !answer.starts_with("ok ") {
            return Err(answer.into());
        }
        older = newer;
    }
    world.comes_out(older - 4)?;
    world.judge(name)
}

/// Where something dies in an epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Point {
    Open,
    EndSaid,
    Ended,
    Resumed,
    CommitSaid,
    Committed,
}

pub(crate) const POINTS: [Point; 6] = [
    Point::Open,
    Point::EndSaid,
    Point::Ended,
    Point::Resumed,
    Point::CommitSaid,
    Point::Committed,
];

/// Plays an epoch up to a point. The guest is running when it returns, as it is when the
/// replicator goes on without its gate.
pub(crate) fn up_to(world: &mut World, point: Point) -> Result<(), Failed> {
    world.flood(20)?;
    match point {
        Point::Open => {}
        // Nobody hears the answer; the guest stays in its epoch.
        Point::EndSaid => world.say("epoch 900000 end")?,
        Point::Ended | Point::Resumed => {
            world.end()?;
            if matches!(point, Point::Resumed) {
                world.flood(20)?;
            }
        }
        Point::CommitSaid => {
            let (epoch, _) = world.end()?;
            world.flood(20)?;
            world.backup_has(epoch);
            world.say(&format!("epoch {epoch} committed"))?;
        }
        Point::Committed => {
            let (epoch, _) = world.end()?;
            world.flood(20)?;
            world.commit(epoch)?;
        }
    }
    Ok(())
}

fn killed_at_each_point(name: &str) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    for round in 0..3 {
        for point in POINTS {
            rounds(&mut world, 2)?;
            up_to(&mut world, point)?;
            world.kill()?;
            world.flood(30)?;
            if world.early() > 0 {
                return Err(format!("round {round}, killed at {point:?}").into());
            }
            world.start(&[])?;
            world.connect()?;
        }
    }
    rounds(&mut world, 3)?;
    world.judge(name)
}

fn client_killed_at_each_point(name: &str) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    for _ in 0..3 {
        for point in POINTS {
            rounds(&mut world, 2)?;
            up_to(&mut world, point)?;
            world.disconnect();
            world.flood(30)?;
            world.connect()?;
        }
    }
    rounds(&mut world, 3)?;
    world.judge(name)
}

/// Something purges the queue between the end of an epoch and its commit, and the plug keeps
/// counting what is gone.
fn purged(name: &str, command: impl Fn(u32) -> String) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    for round in 0..10 {
        rounds(&mut world, 2)?;
        world.flood(20)?;
        let (epoch, _) = world.end()?;
        world.lab.shell(&command(round))?;
        world.flood(20)?;
        let answer = world.commit(epoch)?;
        // The daemon may have heard of it before the commit; then nothing was left to purge.
        if !["ok purged ", "ok waiting "]
            .iter()
            .any(|start| answer.starts_with(start))
        {
            return Err(format!("`{answer}` after a purge").into());
        }
        world.flood(20)?;
    }
    rounds(&mut world, 3)?;
    world.judge(name)
}

fn link_flaps(name: &str) -> Result<(), Failed> {
    purged(name, |_| {
        format!("ip link set {IFB} down; ip link set {IFB} up")
    })
}

fn queue_length_changes(name: &str) -> Result<(), Failed> {
    purged(name, |round| {
        format!("ip link set {IFB} txqueuelen {}", 100 + round)
    })
}

/// Somebody else tells the plug something: its counts are not the daemon's any more.
fn foreign_command(name: &str) -> Result<(), Failed> {
    purged(name, |_| {
        let handle = "$(tc qdisc show dev ifb0 | sed 's/qdisc plug \\([0-9a-f]*:\\).*/\\1/')";
        format!("tc qdisc change dev {IFB} root handle {handle} plug block")
    })
}

/// The same without a daemon leaks: the trials above would see it.
fn plain_plug_leaks(_: &str) -> Result<(), Failed> {
    let world = World::new(ROOMY)?;
    world.flood(50)?;
    let tell = |words: &[&str]| -> Result<(), Failed> {
        let output = world.gate(words).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(|| said.into())
    };
    tell(&["block"])?;
    world
        .lab
        .shell(&format!("ip link set {IFB} down; ip link set {IFB} up"))?;
    world.flood(50)?;
    tell(&["release"])?;
    world.wait("a frame leaks", |world| world.early() > 0)
}

fn garbage_changes_nothing(name: &str) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    rounds(&mut world, 2)?;
    let (epoch, _) = world.end()?;
    for line in [
        "",
        "open",
        "release",
        "epoch -1 committed",
        "epoch 99999999999999999999 committed",
        "epoch 4000000 committed",
        "\u{7f}ELF",
        "GET / HTTP/1.1",
    ] {
        let answer = world.ask(line)?;
        if !answer.starts_with("error ") {
            return Err(format!("`{line}` was answered with `{answer}`").into());
        }
    }
    world.flood(20)?;
    let answer = world.commit(epoch)?;
    expect(&answer, &format!("ok released {epoch}"))?;
    // A line without an end costs the connection, and nothing else.
    world.say(&"a".repeat(5000))?;
    let answer = world.hear()?;
    expect(&answer, "error the line is longer than 128 bytes")?;
    world.connect()?;
    rounds(&mut world, 2)?;
    world.judge(name)
}

fn abort_drops(name: &str) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    rounds(&mut world, 2)?;
    world.flood(20)?;
    let (epoch, _) = world.end()?;
    world.flood(20)?;
    let answer = world.ask("abort")?;
    if !answer.starts_with("ok aborted ") || answer == "ok aborted 0" {
        return Err(answer.into());
    }
    // It is not committed at the backup either: what comes out of it now is early.
    let answer = world.ask(&format!("epoch {epoch} committed"))?;
    expect(&answer, &format!("error epoch {epoch} was aborted"))?;
    world.flood(20)?;
    world.judge(name)?;
    rounds(&mut world, 3)?;
    world.judge(name)
}

fn limit_is_counted(name: &str) -> Result<(), Failed> {
    let mut world = World::new(ROOMY)?;
    let numbers = world.file("gate.prom");
    let path = numbers.to_str().ok_or("a path that is no text")?.to_owned();
    world.start(&["--limit", "2000", "--metrics", &path, "--vif", "vif0"])?;
    world.connect()?;
    world.flood(100)?;
    let (epoch, _) = world.end()?;
    let status = world.ask("status")?;
    let drops = status
        .rsplit("drops=")
        .next()
        .and_then(|n| n.parse::<u64>().ok());
    if drops.is_none_or(|drops| drops < 20) {
        return Err(format!("`{status}` after 100 frames of 64 bytes").into());
    }
    let answer = world.commit(epoch)?;
    expect(&answer, &format!("ok released {epoch}"))?;
    world.comes_out(epoch)?;
    world.wait("the metrics tell of drops", |_| {
        let text = fs::read_to_string(&numbers).unwrap_or_default();
        text.lines().any(|line| {
            line.strip_prefix("epochgate_drops_total{ifb=\"ifb0\"} ")
                .is_some_and(|drops| drops != "0")
        })
    })?;
    let text = fs::read_to_string(&numbers)?;
    let buffer = "epochgate_verdict_packets_total{vif=\"vif0\",verdict=\"buffer\"} ";
    if !text.contains(buffer) || text.contains(&format!("{buffer}0\n")) {
        return Err(text.into());
    }
    world.judge(name)
}

/// The root is taken away and comes back: the daemon refuses in between, then holds again.
fn waits_while_the_gate_is_gone(name: &str) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    rounds(&mut world, 2)?;
    let (epoch, _) = world.end()?;
    // A root that lets nothing pass, so that nothing is let out by the trial itself.
    world.lab.shell(&format!(
        "tc qdisc replace dev {IFB} root handle 9: pfifo limit 0"
    ))?;
    let answer = world.ask(&format!("epoch {} end", epoch + 1))?;
    expect(
        &answer,
        "error the gate is out of reach, nothing was released: the root qdisc of `ifb0` is `pfifo`, not `plug`",
    )?;
    world.lab.shell(&format!(
        "tc qdisc replace dev {IFB} root handle 5: plug limit {ROOMY}"
    ))?;
    world.flood(20)?;
    rounds(&mut world, 3)?;
    world.judge(name)
}

fn tells_systemd(name: &str) -> Result<(), Failed> {
    let mut world = World::new(ROOMY)?;
    let path = world.file("notify");
    let systemd = UnixDatagram::bind(&path)?;
    systemd.set_read_timeout(Some(std::time::Duration::from_secs(20)))?;
    let socket = world.socket();
    let mut command = world.gate(&["serve", "--socket"]);
    command.arg(&socket).env("NOTIFY_SOCKET", &path);
    command.env("WATCHDOG_USEC", "200000").stdin(Stdio::null());
    world.adopt(command.spawn()?);
    let mut said = String::new();
    let mut hear = |what: &str| -> Result<(), Failed> {
        let mut buffer = [0; 256];
        while !said.contains(what) {
            let length = systemd.recv(&mut buffer)?;
            said.push_str(&String::from_utf8_lossy(&buffer[..length]));
            said.push('\n');
        }
        Ok(())
    };
    hear("READY=1")?;
    let mode = fs::metadata(&socket)?.permissions().mode() & 0o777;
    if mode != 0o600 {
        return Err(format!("the socket has the mode {mode:o}").into());
    }
    hear("WATCHDOG=1")?;
    world.connect()?;
    rounds(&mut world, 2)?;
    if !world.terminate()? {
        return Err("SIGTERM is no clean end".into());
    }
    hear("STOPPING=1")?;
    if socket.exists() {
        return Err("the socket is left behind".into());
    }
    world.flood(30)?;
    world.judge(name)
}

fn one_daemon_and_one_client(name: &str) -> Result<(), Failed> {
    let mut world = ready(ROOMY, &[])?;
    let second = world
        .gate(&["serve", "--socket", "/tmp/second.sock"])
        .output()?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    if second.status.success() || !said.contains("is driven by another") {
        return Err(format!("a second daemon: {said}").into());
    }
    let release = world.gate(&["release"]).output()?;
    if release.status.success() {
        return Err("a release by hand beside the daemon".into());
    }
    let mut other = std::os::unix::net::UnixStream::connect(world.socket())?;
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut other, &mut answer)?;
    expect(answer.trim_end(), "error another client is in command")?;
    // A status by hand disturbs nothing.
    let (epoch, _) = world.end()?;
    if !world.gate(&["status"]).output()?.status.success() {
        return Err("no status beside the daemon".into());
    }
    let answer = world.commit(epoch)?;
    expect(&answer, &format!("ok released {epoch}"))?;
    world.judge(name)
}
