//! The project's own chores: demo, tests, checks and benchmarks, each one command on a fresh machine.
//! Never part of what is shipped.

mod bench;
mod ci;
mod demo;
mod shell;
mod skills;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Venom repository")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds everything and shows signed, sandboxed skills run on spores, and tasks that survive a killed one
    Demo {
        /// Keep the tasks in a redis-server of the demo's own instead of the embedded broker
        #[arg(long)]
        redis: bool,
    },
    /// All tests: unit, property, sandbox escape, whole hive with real processes, doctests
    Test {
        /// Also the tests that need network installs: skills in Python and JavaScript
        #[arg(long)]
        all: bool,
        /// Passed on to the test runner, for example a test's name
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
    /// Builds the skills, packs and signs them into target/skills
    Skills,
    /// What CI runs: fmt, clippy, rustdoc, tidy, test
    Ci,
    /// House rules: crate edges, file sizes, module docs, licences, paths named in ARCHITECTURE.md
    Tidy,
    /// Benchmarks beside their floors, in one run, as a table of ratios
    Bench {
        /// Shorter runs; figures are rougher
        #[arg(long)]
        quick: bool,
        /// Only the rows whose name contains this
        only: Option<String>,
    },
}

#[expect(clippy::print_stderr, reason = "errors go to the terminal")]
fn main() -> ExitCode {
    match run(Cli::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Demo { redis } => demo::run(if redis { demo::Keep::Redis } else { demo::Keep::Embedded }),
        Chore::Test { all, filter } => test::run(all, &filter),
        Chore::Skills => skills::build_and_pack().map(drop),
        Chore::Ci => ci::run(),
        Chore::Tidy => tidy::run(),
        Chore::Bench { quick, only } => bench::run(quick, only.as_deref()),
    }
}
