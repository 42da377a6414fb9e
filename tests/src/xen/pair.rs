//! Two boxes: the primary and its backup, with a cable between their bridges and another for checkpoints.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::station::{Part, Station};
use crate::lab::LabError;
use crate::lab::image::Image;
use crate::lab::qemu::Link;

/// Where the backup listens for checkpoints.
pub const BACKUP: &str = "10.8.0.2:7000";
/// The cables, by the names of their sockets: that of the bridges is each box's first interface.
const CABLES: [&str; 2] = ["bridge", "checkpoints"];
/// QEMU makes its sockets before it starts its guest.
const SOCKETS: Duration = Duration::from_secs(20);

/// Two boxes that run.
#[derive(Debug)]
pub struct Pair {
    /// Where the domU runs first, if it has power.
    primary: Option<Station>,
    /// Where it runs then.
    pub backup: Station,
    place: TempDir,
}

impl Pair {
    /// Boots both at once.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn boot(image: &Image) -> Result<Self, LabError> {
        let place = TempDir::new().map_err(LabError::io("can't make a directory"))?;
        let path = place.path();
        let (primary, backup) = thread::scope(|scope| {
            let backup = scope.spawn(|| Station::boot_as(image, Part::Backup, &links(path, 2)));
            let deadline = Instant::now() + SOCKETS;
            while !CABLES.iter().all(|cable| path.join(cable).exists()) && Instant::now() < deadline
            {
                thread::sleep(Duration::from_millis(10));
            }
            let primary = Station::boot_as(image, Part::Primary, &links(path, 1));
            (primary, backup.join())
        });
        let backup = backup.map_err(|_| panicked())?;
        Ok(Self {
            primary: Some(primary?),
            backup: backup?,
            place,
        })
    }

    /// Ends the primary at once, as a loss of power does, and boots another one when `watch` has looked at the
    /// backup: another box that works meanwhile makes the takeover of this one slower.
    ///
    /// # Errors
    /// What `watch` finds wrong, or when the other one does not come up.
    pub fn lose_primary<T>(
        &mut self,
        image: &Image,
        watch: impl FnOnce(&mut Station) -> Result<T, LabError>,
    ) -> Result<T, LabError> {
        self.primary = None;
        let found = watch(&mut self.backup)?;
        let links = links(self.place.path(), 1);
        self.primary = Some(Station::boot_as(image, Part::Primary, &links)?);
        Ok(found)
    }

    /// The primary.
    ///
    /// # Errors
    /// When it has no power.
    pub fn primary(&mut self) -> Result<&mut Station, LabError> {
        let primary = self.primary.as_mut();
        primary.ok_or_else(|| LabError::Guest(String::from("the primary has no power")))
    }
}

fn panicked() -> LabError {
    LabError::Guest(String::from("the boot of a box panicked"))
}

/// The cables of box 1 or 2. The second makes the sockets.
fn links(place: &Path, number: u8) -> Vec<Link> {
    let cables = CABLES.iter().zip(1..);
    let links = cables.map(|(cable, port): (_, u8)| Link {
        socket: place.join(cable),
        listens: number == 2,
        mac: format!("02:00:00:00:{number:02x}:{port:02x}"),
    });
    links.collect()
}
