//! Everything a skill may import. An interface that is not linked here does not exist for a skill; what a
//! linked one reaches is decided by the call's rights.

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Result};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::{LinkOptions, cli, clocks, filesystem, random, sockets};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};

use crate::bindings::venom::skill;
use crate::capability::fs::Files;
use crate::capability::net::NameLookups;
use crate::capability::random::Random;
use crate::state::CallState;

/// Interfaces a component may import, without versions: all of WASI 0.2 that is linked, and ours.
const OFFERED: &[(&str, &[&str])] = &[
    (
        "venom:skill",
        &[
            "api", "cache", "command", "errors", "hive", "lan", "log", "progress", "settings",
        ],
    ),
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stderr",
            "stdin",
            "stdout",
            "terminal-input",
            "terminal-output",
            "terminal-stderr",
            "terminal-stdin",
            "terminal-stdout",
        ],
    ),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", &["preopens", "types"]),
    ("wasi:http", &["outgoing-handler", "types"]),
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:random", &["insecure", "insecure-seed", "random"]),
    (
        "wasi:sockets",
        &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
];

/// The imports no host function answers.
pub(crate) fn unknown_imports(imports: &[String]) -> Vec<String> {
    imports.iter().filter(|import| !is_offered(import)).cloned().collect()
}

fn is_offered(import: &str) -> bool {
    let Some((package, rest)) = import.split_once('/') else {
        return false;
    };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    let line = if package == "venom:skill" { "0.1." } else { "0.2." };
    version.starts_with(line)
        && OFFERED
            .iter()
            .any(|(offered, interfaces)| *offered == package && interfaces.contains(&interface))
}

/// Links all of it, once for all skills.
pub(crate) fn build(engine: &Engine) -> Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    link_skill(&mut linker)?;
    link_io(&mut linker)?;
    link_stock(&mut linker)?;
    link_guarded(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

fn link_skill(linker: &mut Linker<CallState>) -> Result<()> {
    skill::errors::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    skill::log::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    skill::progress::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    skill::command::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    skill::cache::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    skill::hive::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    skill::settings::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    skill::lan::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)
}

/// The interfaces whose only state is the handle table.
fn link_io(linker: &mut Linker<CallState>) -> Result<()> {
    use wasmtime_wasi_io::bindings::wasi::io;
    io::error::add_to_linker::<_, Table>(linker, CallState::table)?;
    io::poll::add_to_linker::<_, Table>(linker, CallState::table)?;
    io::streams::add_to_linker::<_, Table>(linker, CallState::table)
}

struct Table;

impl wasmtime::component::HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// wasmtime-wasi as it is: what these reach is set in the call's context.
fn link_stock(linker: &mut Linker<CallState>) -> Result<()> {
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, CallState::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, CallState::clocks)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, CallState::cli)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(linker, CallState::sockets)?;
    sockets::network::add_to_linker::<_, WasiSockets>(linker, &(&LinkOptions::default()).into(), CallState::sockets)?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(linker, CallState::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(linker, CallState::sockets)?;
    sockets::udp::add_to_linker::<_, WasiSockets>(linker, CallState::sockets)?;
    sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(linker, CallState::sockets)
}

/// Interfaces with checks of our own in front.
fn link_guarded(linker: &mut Linker<CallState>) -> Result<()> {
    random::random::add_to_linker::<_, Random>(linker, |state| &mut state.random)?;
    random::insecure::add_to_linker::<_, Random>(linker, |state| &mut state.random)?;
    random::insecure_seed::add_to_linker::<_, Random>(linker, |state| &mut state.random)?;
    filesystem::types::add_to_linker::<_, Files>(linker, CallState::fs)?;
    filesystem::preopens::add_to_linker::<_, Files>(linker, CallState::fs)?;
    sockets::ip_name_lookup::add_to_linker::<_, NameLookups>(linker, CallState::lookup)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_interfaces_of_the_right_line_are_offered() {
        let offered = [
            "wasi:cli/stdout@0.2.0",
            "wasi:io/streams@0.2.12",
            "venom:skill/log@0.1.0",
        ];
        assert_eq!(unknown_imports(&offered.map(str::to_owned)), Vec::<String>::new());
        let unknown = [
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout",
            "wasi:http/incoming-handler@0.2.0",
            "wasi:nn/tensor@0.2.0",
            "venom:skill/log@0.2.0",
            "print",
        ];
        assert_eq!(unknown_imports(&unknown.map(str::to_owned)), unknown);
    }
}
