//! The first process of the lab's guests: mounts what programs expect, loads the modules that the
//! image holds, then runs the jobs that the host sends over a virtio port (`tests::lab::protocol`).
//!
//! It has no return: at the end it powers the guest off, and a failure here is a kernel panic,
//! which the host sees on the console.

mod jobs;
mod start;

use std::fs::{self, File};
use std::io;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::system::{RebootCommand, reboot};
use tests::lab::protocol::{Frame, Hello, VERSION};

fn main() -> io::Result<()> {
    start::mount_all()?;
    let failed_modules = start::load_modules()?;
    start::loopback();
    let port = start::open_port()?;
    Frame::Hello(Hello {
        version: VERSION,
        kernel: start::release(),
        uptime_ms: start::uptime_ms()?,
        failed_modules,
    })
    .write(&mut &port)?;
    let watched = port.try_clone()?;
    thread::spawn(move || power_off_without_host(&watched));
    serve(&port)?;
    // Nothing needs to be written back: all file systems are in memory.
    reboot(RebootCommand::PowerOff)?;
    Ok(())
}

/// A host that was killed leaves nobody to listen; a job that is still running then has no use.
fn power_off_without_host(port: &File) -> io::Result<()> {
    loop {
        let mut hung_up = [PollFd::new(port, PollFlags::HUP)];
        poll(&mut hung_up, None)?;
        if hung_up[0].revents().contains(PollFlags::HUP) {
            reboot(RebootCommand::PowerOff)?;
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Runs jobs until the host wants no more or is gone.
fn serve(port: &File) -> io::Result<()> {
    while let Some(frame) = Frame::read(&mut &*port)? {
        match frame {
            Frame::Job(job) => jobs::run(port, &job)?,
            Frame::File(file) => fs::write(file.path, file.contents)?,
            _ => return Ok(()),
        }
    }
    Ok(())
}
