//! Files a child may touch, as a Landlock ruleset. What is not listed here is not readable, not writable and
//! not executable, whatever the program's arguments say.

use std::io;
use std::path::Path;
use std::sync::LazyLock;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use venom_bundle::capability::Access as Grant;

use super::super::grants::Program;
use super::super::path::Home;

/// The newest Landlock these rules were tested with; older kernels enforce what they know.
const TESTED: ABI = ABI::V7;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const RUN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir});
/// No devices, sockets or pipes: nothing that would make a later reader of the directory wait or more.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | RemoveFile | RemoveDir | MakeReg | MakeDir | MakeSym | Refer
});
const DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});

const LIBRARIES: [&str; 6] = ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"];
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// What the C library reads: its loader's cache, languages, time zones.
const SYSTEM: [&str; 7] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/locale",
    "/usr/share/zoneinfo",
    "/usr/share/i18n",
];
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// How names are resolved and servers trusted; only for programs with `network`.
const NETWORK: [&str; 10] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl",
    "/etc/pki",
    "/usr/share/ca-certificates",
];

/// Whether the kernel has Landlock, and lets us use it.
pub(super) fn supported() -> bool {
    static SUPPORTED: LazyLock<bool> = LazyLock::new(|| {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        ruleset
            .handle_access(AccessFs::Execute)
            .and_then(Ruleset::create)
            .is_ok()
    });
    *SUPPORTED
}

/// The rules of one run.
pub(super) fn ruleset(program: &Program, home: &Home) -> io::Result<RulesetCreated> {
    let mut rules = Rules(Some(create(program.grant.network).map_err(io::Error::other)?));
    let binary = &program.binary;
    for starter in binary.starters.iter().chain([&binary.path]) {
        rules.add(starter, RUN)?;
    }
    let libraries = if program.grant.subprocesses { RUN } else { READ };
    rules.add_present(&LIBRARIES, libraries)?;
    rules.add_present(&SYSTEM, READ)?;
    rules.add_present(&DEVICES, DEVICE)?;
    if program.grant.subprocesses {
        rules.add_present(&PROGRAMS, RUN)?;
    }
    if program.grant.network {
        rules.add_present(&NETWORK, READ)?;
    }
    for directory in &program.read {
        rules.add(directory, READ)?;
    }
    let access = match home.access {
        Grant::Ro => READ,
        Grant::Rw => WRITE,
    };
    rules.add(&home.host, access)?;
    rules.0.ok_or_else(|| io::Error::other("the Landlock ruleset is gone"))
}

fn create(network: bool) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(TESTED))?;
    if !network {
        ruleset = ruleset.handle_access(AccessNet::from_all(TESTED))?;
    }
    // signals and abstract sockets do not reach out of the sandbox either
    ruleset.scope(Scope::from_all(TESTED))?.create()
}

struct Rules(Option<RulesetCreated>);

impl Rules {
    fn add(&mut self, path: &Path, access: BitFlags<AccessFs>) -> io::Result<()> {
        let named = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
        let opened = PathFd::new(path).map_err(|error| named(&error))?;
        self.0 = match self.0.take() {
            Some(rules) => Some(
                rules
                    .add_rule(PathBeneath::new(opened, access))
                    .map_err(|error| named(&error))?,
            ),
            None => None,
        };
        Ok(())
    }

    /// Adds those that exist on this machine.
    fn add_present(&mut self, paths: &[&str], access: BitFlags<AccessFs>) -> io::Result<()> {
        let mut present = paths.iter().map(Path::new).filter(|path| path.exists());
        present.try_for_each(|path| self.add(path, access))
    }
}
