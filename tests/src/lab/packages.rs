//! Debian packages by name, downloaded with checked signatures and unpacked, never installed.
//!
//! apt gets a root of its own (apt.conf(5)): own sources, own lists, no installed packages. So the
//! machine's own apt is neither needed as set up nor changed, no root is needed, and packages of
//! another release can be had. Only the mirror's address and a proxy are taken over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::LabError;
use super::cache::{self, Cache, age, key, write_whole};

/// Package lists younger than this are good enough.
const FRESH: Duration = Duration::from_hours(24);
/// Debian's keys, of the package debian-archive-keyring.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian 12 with its security updates.
    Bookworm,
    /// Debian 12 as it was released last, with its sources. Mirrors have the packages of security updates,
    /// and not always their sources.
    BookwormAlone,
    /// The backports for Debian 13, alone.
    TrixieBackports,
    /// Debian 13, with its backports for what it has not itself.
    Trixie,
}

impl Release {
    fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::BookwormAlone => "bookworm-alone",
            Self::TrixieBackports => "trixie-backports",
            Self::Trixie => "trixie",
        }
    }

    fn sources(self, mirrors: &Mirrors) -> String {
        let line = |address: &str, suite: &str| {
            format!("deb [signed-by={KEYRING}] {address} {suite} main\n")
        };
        match self {
            Self::Bookworm => [
                line(&mirrors.archive, "bookworm"),
                line(&mirrors.security, "bookworm-security"),
            ]
            .concat(),
            Self::BookwormAlone => {
                let packages = line(&mirrors.archive, "bookworm");
                let sources = packages.replacen("deb ", "deb-src ", 1);
                packages + &sources
            }
            Self::TrixieBackports => line(&mirrors.archive, "trixie-backports"),
            Self::Trixie => ["trixie", "trixie-backports"]
                .map(|suite| line(&mirrors.archive, suite))
                .concat(),
        }
    }
}

/// Addresses of Debian's two archives.
#[derive(Debug)]
struct Mirrors {
    archive: String,
    security: String,
}

impl Mirrors {
    /// Those of the machine's own apt, or Debian's public ones.
    fn find() -> Self {
        let listing = Command::new("apt-get")
            .args(["indextargets", "--format", "$(LABEL) $(REPO_URI)"])
            .output();
        let listing = listing.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        Self::read(&listing.unwrap_or_default())
    }

    fn read(listing: &str) -> Self {
        let of = |label: &str| {
            let found = listing.lines().find_map(|line| line.strip_prefix(label));
            found.map(|address| address.trim_end_matches('/').to_owned())
        };
        Self {
            archive: of("Debian ").unwrap_or_else(|| String::from("http://deb.debian.org/debian")),
            security: of("Debian-Security ")
                .unwrap_or_else(|| String::from("http://deb.debian.org/debian-security")),
        }
    }
}

/// A package file, named as apt names it: name, version and architecture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    file: String,
}

impl Package {
    /// The package's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.file.split('_').next().unwrap_or_default()
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> String {
        let version = self.file.split('_').nth(1).unwrap_or_default();
        version.replace("%3a", ":")
    }

    /// Reads a line of `apt-get --print-uris`: `'address' file size hash`.
    fn read(line: &str) -> Option<Self> {
        let file = line.strip_prefix('\'')?.split(' ').nth(1)?;
        let is_package = file.ends_with(".deb") && file.split('_').count() == 3;
        is_package.then(|| Self {
            file: file.to_owned(),
        })
    }
}

/// apt with a root of its own.
#[derive(Debug)]
pub struct Apt<'a> {
    cache: &'a Cache,
    root: PathBuf,
}

impl<'a> Apt<'a> {
    /// Opens the private root for a release and refreshes its package lists if they are old.
    /// Old lists are better than none: without a network what was downloaded before still counts.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] when there are no tools, no keys or no lists to be had.
    pub fn open(cache: &'a Cache, release: Release) -> Result<Self, LabError> {
        for tool in ["apt-get", "dpkg"] {
            let found = Command::new(tool).arg("--version").output();
            found
                .map_err(|_| unavailable(format!("no `{tool}`: packages need a Debian system")))?;
        }
        if !Path::new(KEYRING).is_file() {
            return Err(unavailable(format!(
                "no {KEYRING} to check packages with (package debian-archive-keyring)"
            )));
        }
        let root = cache.subdirectory(&format!("apt/{}", release.name()))?;
        for directory in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(root.join(directory))
                .map_err(LabError::io("can't make a directory in the cache"))?;
        }
        write_whole(&root.join("status"), b"")?;
        let sources = release.sources(&Mirrors::find());
        write_whole(&root.join("sources.list"), sources.as_bytes())?;
        write_whole(&root.join("apt.conf"), configuration(&root).as_bytes())?;
        let apt = Self { cache, root };
        apt.refresh(&sources, FRESH)?;
        Ok(apt)
    }

    /// Refreshes the lists unless that was done for the same sources less than `limit` ago.
    fn refresh(&self, sources: &str, limit: Duration) -> Result<(), LabError> {
        let stamp = self.root.join(format!("refreshed-{}", key(&[sources])));
        if age(&stamp).is_some_and(|age| age < limit) {
            return Ok(());
        }
        match self.apt("apt-get", &["update", "-qq"]) {
            Ok(_) => write_whole(&stamp, b""),
            Err(reason) if stamp.is_file() => {
                eprintln!("lab: using old package lists: {reason}");
                Ok(())
            }
            Err(reason) => Err(unavailable(format!("no package lists: {reason}"))),
        }
    }

    /// The packages that are needed to have these, they themselves included.
    ///
    /// # Errors
    /// When a package is not known.
    pub fn closure(&self, names: &[&str]) -> Result<Vec<Package>, LabError> {
        let mut arguments = vec!["install", "--print-uris", "-qq", "--yes"];
        arguments.extend(names);
        self.listed(&arguments)
    }

    /// What a package depends on, by name, first alternatives only.
    ///
    /// # Errors
    /// When the package is not known.
    pub fn dependencies(&self, name: &str) -> Result<Vec<String>, LabError> {
        let record = self
            .apt("apt-cache", &["show", "--no-all-versions", name])
            .map_err(unavailable)?;
        Ok(dependencies(&record))
    }

    /// The newest version of each of these packages.
    ///
    /// # Errors
    /// When a package is not known.
    pub fn newest(&self, names: &[&str]) -> Result<Vec<Package>, LabError> {
        let mut arguments = vec!["download", "--print-uris", "-qq"];
        arguments.extend(names);
        self.listed(&arguments)
    }

    /// The newest version of a package and of those that it depends on, at any depth, as far as they are
    /// `part` of the same thing.
    ///
    /// # Errors
    /// When a package is not known.
    pub fn newest_with_parts(
        &self,
        name: &str,
        part: impl Fn(&str) -> bool,
    ) -> Result<Vec<Package>, LabError> {
        let mut names: Vec<String> = Vec::new();
        let mut waiting = vec![name.to_owned()];
        while let Some(name) = waiting.pop() {
            let all = self.dependencies(&name)?;
            waiting.extend(all.into_iter().filter(|n| part(n) && !names.contains(n)));
            names.push(name);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.newest(&names)
    }

    fn listed(&self, arguments: &[&str]) -> Result<Vec<Package>, LabError> {
        let listing = self.apt("apt-get", arguments).map_err(unavailable)?;
        let mut packages: Vec<_> = listing.lines().filter_map(Package::read).collect();
        packages.sort();
        Ok(packages)
    }

    /// A directory with the contents of all these packages: `label` and a name for the versions.
    ///
    /// # Errors
    /// When one can't be downloaded or unpacked.
    pub fn unpacked(&self, label: &str, packages: &[Package]) -> Result<PathBuf, LabError> {
        let files: Vec<&str> = packages.iter().map(|p| p.file.as_str()).collect();
        let name = format!("unpacked/{label}-{}", cache::key(&files));
        self.cache.filled(&name, |directory| {
            let archives = self.download(packages)?;
            for file in files {
                let archive = archives.join(file);
                run(Command::new("dpkg").arg("-x").args([&archive, directory]))
                    .map_err(unavailable)?;
            }
            Ok(())
        })
    }

    /// A directory with the files of a source package, as the archive has them.
    ///
    /// # Errors
    /// When the package is not known or can't be downloaded.
    pub fn source(&self, name: &str) -> Result<PathBuf, LabError> {
        let arguments = ["source", "--download-only", "-qq"];
        let listing = self.apt(
            "apt-get",
            &[&arguments[..], &["--print-uris", name]].concat(),
        );
        let name_of_all = format!(
            "source/{name}-{}",
            cache::key(&[&listing.map_err(unavailable)?])
        );
        self.cache.filled(&name_of_all, |directory| {
            eprintln!("lab: downloading the source of {name}");
            let mut command = self.command("apt-get");
            command.args(arguments).arg(name);
            run(command.current_dir(directory)).map_err(unavailable)?;
            Ok(())
        })
    }

    /// Downloads what is missing; apt checks each file against the signed lists.
    fn download(&self, packages: &[Package]) -> Result<PathBuf, LabError> {
        let archives = self.cache.subdirectory("packages")?;
        let missing: Vec<String> = packages
            .iter()
            .filter(|package| !archives.join(&package.file).is_file())
            .map(|package| format!("{}={}", package.name(), package.version()))
            .collect();
        if missing.is_empty() {
            return Ok(archives);
        }
        eprintln!("lab: downloading {} packages", missing.len());
        let draft = tempfile::Builder::new()
            .prefix(".draft-")
            .tempdir_in(&archives)
            .map_err(LabError::io("can't make a directory in the cache"))?;
        let mut command = self.command("apt-get");
        command.args(["download", "-qq"]).args(missing);
        run(command.current_dir(draft.path())).map_err(unavailable)?;
        for package in packages {
            let downloaded = draft.path().join(&package.file);
            if downloaded.is_file() {
                fs::rename(downloaded, archives.join(&package.file))
                    .map_err(LabError::io("can't rename in the cache"))?;
            }
        }
        Ok(archives)
    }

    fn apt(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        run(self.command(program).args(arguments))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.root.join("apt.conf"));
        command.env("LC_ALL", "C");
        command
    }
}

/// Everything that apt would take from the machine is said here instead.
fn configuration(root: &Path) -> String {
    let root = root.display();
    let mut text = format!(
        r#"Dir::State "{root}";
Dir::State::lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
// Some mirrors are frozen. Signatures are checked all the same.
Acquire::Check-Valid-Until "false";
"#
    );
    let machine = run(Command::new("apt-config").arg("dump")).unwrap_or_default();
    for line in machine.lines().filter(|line| is_proxy(line)) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn is_proxy(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.starts_with("acquire::http") && line.contains("::proxy")
}

/// The first alternative of each dependency in a package's record.
fn dependencies(record: &str) -> Vec<String> {
    let lists = record
        .lines()
        .filter_map(|line| line.strip_prefix("Depends: "));
    let names = lists.flat_map(|list| list.split(',')).filter_map(|one| {
        one.trim()
            .split([' ', ':', '|', '('])
            .next()
            .map(str::to_owned)
    });
    names.collect()
}

fn unavailable(reason: String) -> LabError {
    LabError::Unavailable(reason)
}

/// Runs a command to its end: its standard output, or what it complained of.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|e| format!("can't run `{shown}`: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    Err(format!("`{shown}` failed: {}", said.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_those_of_the_machine() {
        let mirrors = Mirrors::read(
            "Debian http://mirror.example/debian/\n\
             Somebody Else https://other.example/apt/\n\
             Debian-Security http://mirror.example/debian-security/\n",
        );
        assert_eq!(mirrors.archive, "http://mirror.example/debian");
        assert_eq!(mirrors.security, "http://mirror.example/debian-security");
        assert_eq!(Mirrors::read("").archive, "http://deb.debian.org/debian");
    }

    #[test]
    fn packages_are_read_from_what_apt_prints() {
        let package = Package::read(
            "'http://mirror.example/pool/main/p/procps/procps_4.0.2-3_amd64.deb' \
             procps_2%3a4.0.2-3_amd64.deb 708712 MD5Sum:00",
        )
        .unwrap();
        assert_eq!(package.name(), "procps");
        assert_eq!(package.version(), "2:4.0.2-3");
        assert_eq!(Package::read("Reading package lists..."), None);
    }

    #[test]
    fn the_first_alternative_counts() {
        let record = "Package: linux-image-x\n\
            Depends: kmod, initramfs-tools (>= 0.1) | dracut, linux-base:any (= 1)\nSize: 1\n";
        assert_eq!(
            dependencies(record),
            ["kmod", "initramfs-tools", "linux-base"]
        );
    }

    #[test]
    fn only_proxies_are_taken_over() {
        assert!(is_proxy(
            "Acquire::http::Proxy \"http://proxy.example:3128\";"
        ));
        assert!(is_proxy(
            "Acquire::https::Proxy::mirror.example \"DIRECT\";"
        ));
        assert!(!is_proxy("Acquire::http::Timeout \"1\";"));
        assert!(!is_proxy("DPkg::Post-Invoke:: \"rm /somewhere\";"));
    }
}
