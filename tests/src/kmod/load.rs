//! Modules in and out of the running kernel (init_module(2), delete_module(2)).

use std::ffi::{CStr, CString};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::system::{delete_module, init_module};

/// `O_NONBLOCK`: an error rather than a wait when the module is in use.
const NO_WAIT: i32 = 0o4000;
/// A qdisc that was removed keeps its module for a moment (RCU), and a namespace with interfaces is
/// taken down in the background; in a guest on a busy machine that takes seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The module, loaded; it is unloaded when dropped.
#[derive(Debug)]
pub struct Module {
    name: &'static CStr,
}

impl Module {
    /// Loads ours under this kind.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn load(path: &Path, kind: &str) -> Result<Self, String> {
        let parameters = CString::new(format!("kind={kind}")).map_err(|e| e.to_string())?;
        insert(path, &parameters)?;
        Ok(Self {
            name: c"sch_epochgate",
        })
    }

    /// Unloads it, which says whether anything still uses it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unload(self) -> Result<(), String> {
        let name = self.name;
        std::mem::forget(self);
        remove(name)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Err(reason) = remove(self.name) {
            eprintln!("{reason}");
        }
    }
}

/// Loads a module from a file.
///
/// # Errors
/// What the kernel says.
pub fn insert(path: &Path, parameters: &CStr) -> Result<(), String> {
    let image = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    init_module(&image, parameters).map_err(|e| format!("{} can't be loaded: {e}", path.display()))
}

/// Unloads a module; waits a moment for its last users.
///
/// # Errors
/// What the kernel says.
pub fn remove(name: &CStr) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        match delete_module(name, NO_WAIT) {
            Ok(()) => return Ok(()),
            Err(error) if begin.elapsed() > PATIENCE => {
                let name = name.to_string_lossy();
                let users = fs::read_to_string(format!("/sys/module/{name}/refcnt"));
                let users = users.unwrap_or_default();
                return Err(format!("{name} can't be unloaded: {error}; users: {users}"));
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Whether a module is loaded.
#[must_use]
pub fn is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).is_dir()
}
