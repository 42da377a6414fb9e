//! A session: frames go in when asked for, and what comes out behind the bridge is kept until asked
//! for. Unlike a run it does not judge frames, and what is held may stay held for long. And a
//! listener, for frames that somebody else sends.

use std::fmt;
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use pnet_datalink::{DataLinkReceiver, DataLinkSender};

use super::LabError;
use super::namespace::Namespace;
use super::run::{INSIDE, OUTSIDE, channel, open};
use super::tap::Tap;

/// Frames that are expected take at most so long.
const PATIENCE: Duration = Duration::from_secs(3);
/// After those that are expected, others have so long to come.
const QUIET: Duration = Duration::from_millis(150);

/// A running session.
pub struct Session {
    sender: Box<dyn DataLinkSender>,
    tap: Tap,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("tap", &self.tap)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(
        namespace: &Namespace,
        tap: fn(&str) -> Result<Tap, LabError>,
    ) -> Result<Self, LabError> {
        let opened = namespace.enter(|| Ok((open(INSIDE)?, tap(OUTSIDE)?)));
        let (sender, tap) = opened.map_err(LabError::Io)??;
        Ok(Self { sender, tap })
    }

    /// Sends frames into the VM's end of the vif.
    ///
    /// # Errors
    /// When the kernel refuses one.
    pub fn send(&mut self, frames: &[Vec<u8>]) -> Result<(), LabError> {
        for frame in frames {
            self.sender
                .send_to(frame, None)
                .unwrap_or(Ok(()))
                .map_err(LabError::Io)?;
        }
        Ok(())
    }

    /// What has come out since the last call, each with the time on the wall clock.
    ///
    /// # Errors
    /// When the capture ended.
    pub fn arrived(&mut self) -> Result<Vec<(Duration, Vec<u8>)>, LabError> {
        let mut arrived = Vec::new();
        while let Some(one) = self.tap.next_at()? {
            arrived.push(one);
        }
        Ok(arrived)
    }

    /// What came out since the last call: waits for so many frames, then a little for others.
    ///
    /// # Errors
    /// When the capture ended.
    pub fn out(&mut self, expected: usize) -> Result<Vec<Vec<u8>>, LabError> {
        let begin = Instant::now();
        let mut moved = begin;
        let mut seen = Vec::new();
        loop {
            while let Some(frame) = self.tap.next()? {
                seen.push(frame);
                moved = Instant::now();
            }
            let enough = seen.len() >= expected || begin.elapsed() > PATIENCE;
            if enough && moved.elapsed() > QUIET {
                return Ok(seen);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Sees the frames on one interface at once, those that are sent as well as those that come.
pub struct Listener {
    receiver: Box<dyn DataLinkReceiver>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Listener {
    pub(super) fn new(namespace: &Namespace, device: &str) -> Result<Self, LabError> {
        let opened = namespace.enter(|| channel(device));
        let (_, receiver) = opened.map_err(LabError::Io)??;
        Ok(Self { receiver })
    }

    /// The next frame; none if none comes for a while.
    ///
    /// # Errors
    /// When the kernel refuses to listen on.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, LabError> {
        match self.receiver.next() {
            Ok(frame) => Ok(Some(frame.to_vec())),
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(LabError::Io(error)),
        }
    }
}
