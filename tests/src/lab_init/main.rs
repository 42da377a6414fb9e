//! The first process of the lab's guests: mounts what programs expect, loads the modules that the
//! image holds, then runs the jobs that the host sends over a virtio port (`tests::lab::protocol`).
//!
//! It has no return: at the end it powers the guest off, and a failure here is a kernel panic,
//! which the host sees on the console.

mod jobs;
mod start;

use std::fs::{self, File};
use std::io;

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
    serve(&port)?;
    // Nothing needs to be written back: all file systems are in memory.
    reboot(RebootCommand::PowerOff)?;
    Ok(())
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
