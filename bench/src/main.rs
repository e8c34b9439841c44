//! Measures what Venom promises beside the floor it is measured against, both in one run on one machine,
//! and prints the ratios. Never asserts: figures on shared cores are for reading.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table goes to the terminal"
)]

mod fleet;
mod guests;
mod idle;
mod load;
mod ota;
mod processes;
mod queue;
mod remote;
mod sandbox;
mod sleepers;
mod table;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::table::Row;

#[derive(Parser)]
#[command(about = "Venom beside its floors, in one run")]
struct Cli {
    /// Shorter runs; figures are rougher
    #[arg(long)]
    quick: bool,
    /// Only the measurements whose name contains this: sandbox, remote, idle, sleepers, queue, ota, fleet
    only: Option<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// (internal) the bare axum server that remote calls are compared with
    Hello,
}

/// How long to measure.
#[derive(Clone, Copy)]
struct Effort {
    quick: bool,
}

impl Effort {
    /// `full`, or a fifth of it when quick.
    fn count(self, full: usize) -> usize {
        if self.quick { full.div_ceil(5) } else { full }
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if matches!(cli.role, Some(Role::Hello)) {
        return remote::serve_hello();
    }
    let effort = Effort { quick: cli.quick };
    type Measurement = fn(Effort) -> Result<Vec<Row>>;
    let all: [(&str, Measurement); 7] = [
        ("sandbox", sandbox::measure),
        ("remote", remote::measure),
        ("idle", idle::measure),
        ("sleepers", sleepers::measure),
        ("queue", queue::measure),
        ("ota", ota::measure),
        ("fleet", fleet::measure),
    ];
    let mut rows = Vec::new();
    for (name, measure) in all {
        if cli.only.as_deref().is_none_or(|only| name.contains(only)) {
            eprintln!("measuring {name} ...");
            rows.extend(measure(effort).with_context(|| name.to_owned())?);
        }
    }
    println!("{}", table::render(&rows));
    Ok(())
}
