//! What the command line asks for, checked before anything is done.

use std::io::Read as _;
use std::time::Duration;

use super::program::Program;
use super::survey::Wish;
use super::target::{self, Target};
use crate::cli::ProvisionArgs;
use crate::failure::{Explain as _, Failure};
use crate::settings::Secret;

/// An enrol string is one line; more is no enrol string.
const MOST_STDIN: u64 = 8 * 1024;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub target: Target,
    pub ssh_options: Vec<String>,
    pub site: Option<String>,
    pub tags: Vec<String>,
    /// Given; else the nexus makes one.
    pub enrol: Option<Secret>,
    pub wish: Wish,
    pub program: Program,
    pub wait: Duration,
    pub dry_run: bool,
}

impl Plan {
    /// Reads the flags, and standard input when the enrol string comes from there.
    pub(super) fn read(args: ProvisionArgs) -> Result<Self, Failure> {
        let target = Target::parse(&args.target)?;
        let mut ssh_options = Vec::new();
        if let Some(port) = args.ssh_port {
            ssh_options.extend(["-p".to_owned(), port.to_string()]);
        }
        for option in &args.ssh_options {
            ssh_options.extend(["-o".to_owned(), target::ssh_option(option)?]);
        }
        let directory = |flag, text: &Option<String>| match text {
            Some(text) => target::directory(flag, text).map(Some),
            None => Ok(None),
        };
        let wish = Wish {
            prefix: directory("--prefix", &args.prefix)?,
            data_dir: directory("--remote-data-dir", &args.remote_data_dir)?,
            user: match &args.user {
                Some(user) => Some(target::account(user)?),
                None => None,
            },
            no_service: args.no_service,
            user_service: args.user_service,
        };
        Ok(Self {
            enrol: enrol(args.enrol.as_deref())?,
            program: Program::read(args.program.as_deref())?,
            target,
            ssh_options,
            site: args.site,
            tags: args.tags,
            wish,
            wait: args.wait.0,
            dry_run: args.dry_run,
        })
    }
}

fn enrol(written: Option<&str>) -> Result<Option<Secret>, Failure> {
    let text = match written {
        None => return Ok(None),
        Some("-") => {
            let mut text = String::new();
            let read = std::io::stdin().take(MOST_STDIN).read_to_string(&mut text);
            read.or_fail("the enrol string cannot be read from standard input")?;
            text
        }
        Some(text) => text.to_owned(),
    };
    Ok(Some(Secret::new(target::enrol_string(&text)?)))
}
