//! `HostileSkill`: one method per way out of a sandbox, so that tests of the host can assert that each is shut.
//!
//! A method that finds its way shut answers `{"escaped": false, "detail": ...}` with the host's own words; one that
//! gets through says `"escaped": true` and what it got. Methods that use something up either answer how far they
//! came or are ended by the host. It is a test's tool: nothing here is ever packed for use. Outside a sandbox it is empty.

#![cfg(target_family = "wasm")]

mod attempt;
mod exhaust;
mod files;
mod lan;
mod network;

use std::collections::BTreeMap;

use venom_sdk::command::Command;
use venom_sdk::{Result, cache, hive, settings};

use attempt::Attempt;

/// The skill.
pub struct HostileSkill;

/// Tries to escape its sandbox, one way per method.
#[venom_sdk::skill]
impl HostileSkill {
    /// Opens a path inside the first granted directory, links followed, and reads its first bytes. For `..`, absolute
    /// paths, `/proc` and what a planted link points to.
    fn open(path: String) -> Attempt {
        files::open(&path)
    }

    /// As `open`, through the C library's idea of absolute paths.
    fn open_absolute(path: String) -> Attempt {
        Attempt::of("read", std::fs::read(path).map(|bytes| attempt::shown(&bytes)))
    }

    /// Creates or truncates a path inside the first granted directory, and writes to it.
    fn write(path: String, #[default("hostile")] text: String) -> Attempt {
        files::write(&path, &text)
    }

    /// Lists a directory relative to the first granted one.
    fn list(#[default(".")] path: String) -> Attempt {
        files::list(&path)
    }

    /// Plants a symbolic link and opens what it points to.
    fn symlink(target: String, #[default("link")] name: String) -> Attempt {
        files::symlink(&target, &name)
    }

    /// Links a file from outside under a name inside, and opens it.
    fn hard_link(target: String, #[default("hard")] name: String) -> Attempt {
        files::hard_link(&target, &name)
    }

    /// Renames a path to one outside.
    fn rename(from: String, to: String) -> Attempt {
        files::rename(&from, &to)
    }

    /// One half of a race: swaps `race` between a directory and a link to `target`, over and over.
    fn race_swap(target: String, rounds: u32) -> Attempt {
        files::race_swap(&target, rounds)
    }

    /// The other half: opens `race/<path>` over and over, hoping to fall through the link.
    fn race_open(path: String, rounds: u32) -> Attempt {
        files::race_open(&path, rounds)
    }

    /// Opens handles and keeps them; answers how many it got.
    fn handle_bomb(count: u32) -> Attempt {
        files::handle_bomb(count)
    }

    /// Writes until the directory is full or `bytes` are written; answers how many.
    fn fill_disk(bytes: u32) -> Attempt {
        files::fill_disk(bytes)
    }

    /// Claims a huge file without writing it.
    fn sparse_file(mebibytes: u32) -> Attempt {
        files::sparse_file(mebibytes)
    }

    /// Hands the host a path of this many bytes.
    fn huge_path(bytes: u32) -> Attempt {
        files::open(&"a".repeat(bytes as usize))
    }

    /// Never ends, and never calls the host.
    fn spin() {
        exhaust::spin();
    }

    /// Never ends, calling the host all the time.
    fn spin_on_host() {
        exhaust::spin_on_host();
    }

    /// Sleeps in small naps, forever.
    fn nap_forever() {
        exhaust::nap_forever();
    }

    /// Sleeps once, for this long.
    fn sleep(milliseconds: u32) -> u32 {
        std::thread::sleep(std::time::Duration::from_millis(milliseconds.into()));
        milliseconds
    }

    /// Allocates and touches memory, mebibyte by mebibyte; answers how many it got.
    fn memory_bomb(mebibytes: u32) -> Attempt {
        exhaust::memory(mebibytes)
    }

    /// Recurses until the stack ends.
    fn recurse() -> u32 {
        exhaust::recurse(0)
    }

    /// Keeps timers; answers how many it got.
    fn pollable_bomb(count: u32) -> Attempt {
        exhaust::pollables(count)
    }

    /// Prints this many bytes in lines, half of them to standard error.
    fn print_flood(bytes: u32) -> Attempt {
        exhaust::print(bytes)
    }

    /// Prints this many bytes without a line end.
    fn print_endless_line(bytes: u32) -> Attempt {
        exhaust::print_endless_line(bytes)
    }

    /// Answers a text of this many bytes.
    fn result_flood(bytes: u32) -> String {
        "x".repeat(bytes as usize)
    }

    /// Sends partial results of a kibibyte each.
    fn partial_flood(count: u32) -> Attempt {
        exhaust::partials(count)
    }

    /// Writes log lines.
    fn log_flood(lines: u32) -> Attempt {
        exhaust::log(lines)
    }

    /// Writes one log line of this many bytes.
    fn log_huge(bytes: u32) -> Attempt {
        venom_sdk::log::info!("{}", "x".repeat(bytes as usize));
        Attempt::through("the host took the line")
    }

    /// Draws random bytes in pieces; answers how many it got.
    fn random_flood(bytes: u32, #[default(4096)] piece: u32) -> Attempt {
        exhaust::random(bytes, piece)
    }

    /// Hands the host a cache value of this many bytes.
    fn cache_bomb(bytes: u32) -> Attempt {
        let value = vec![b'x'; bytes as usize];
        Attempt::of("cached", cache::set_bytes("bomb", &value, None))
    }

    /// Stores small cache values under many keys; answers how many it got.
    fn cache_flood(count: u32) -> Attempt {
        exhaust::cache(count)
    }

    /// Submits many tasks at once.
    fn hive_flood(skill: String, method: String, count: u32) -> Result<Attempt> {
        let request = hive::Request::new(skill, method, &BTreeMap::<String, u32>::new())?;
        let requests = vec![request; count as usize];
        Ok(Attempt::of("submitted", hive::submit(requests)))
    }

    /// Asks for a program with these arguments, environment and directory, as they are.
    fn command(
        program: String,
        arguments: Option<Vec<String>>,
        environment: Option<BTreeMap<String, String>>,
        directory: Option<String>,
    ) -> Attempt {
        let mut command = Command::new(program).args(arguments.unwrap_or_default());
        for (key, value) in environment.unwrap_or_default() {
            command = command.env(key, value);
        }
        let output = command.directory(directory.unwrap_or_default()).run();
        Attempt::of(
            "ran",
            output.map(|output| {
                let (code, text) = (output.exit_code, output.text());
                format!("code {code:?}, output `{text}`, errors `{}`", output.error_text())
            }),
        )
    }

    /// Reads the whole environment and the command line.
    fn environment() -> Attempt {
        let variables: Vec<(String, String)> = std::env::vars().collect();
        let arguments: Vec<String> = std::env::args().collect();
        match variables.is_empty() && arguments.is_empty() {
            true => Attempt::shut("no variables, no arguments"),
            false => Attempt::through(format!("variables {variables:?}, arguments {arguments:?}")),
        }
    }

    /// Reads a setting.
    fn config(key: String) -> Attempt {
        Attempt::of("read", settings::config(&key))
    }

    /// Asks for a secret and shows what it was given.
    fn secret(name: String) -> Attempt {
        Attempt::of(
            "given",
            settings::secret(&name).map(|placeholder| placeholder.to_string()),
        )
    }

    /// Connects to `host:port`.
    fn tcp(address: String) -> Attempt {
        network::tcp(&address)
    }

    /// Opens connections and keeps them; answers how many it got.
    fn tcp_flood(address: String, count: u32) -> Attempt {
        network::tcp_flood(&address, count)
    }

    /// Sends a datagram to `host:port`.
    fn udp(address: String) -> Attempt {
        network::udp(&address)
    }

    /// Looks a name up.
    fn lookup(name: String) -> Attempt {
        network::lookup(&name)
    }

    /// Binds a TCP socket to `host:port` and listens.
    fn listen(address: String) -> Attempt {
        network::listen(&address)
    }

    /// Binds a UDP socket to `host:port`.
    fn bind_udp(address: String) -> Attempt {
        network::bind_udp(&address)
    }

    /// Asks for the machine's own addresses.
    fn links() -> Attempt {
        lan::links()
    }

    /// Asks for the machine's table of neighbours.
    fn neighbours() -> Attempt {
        lan::neighbours()
    }

    /// Asks for the name of an address.
    fn reverse(address: String) -> Attempt {
        lan::reverse(&address)
    }

    /// Listens to mDNS.
    fn browse(kinds: Option<Vec<String>>, #[default(500)] milliseconds: u32) -> Attempt {
        lan::browse(&kinds.unwrap_or_default(), milliseconds)
    }

    /// Searches by SSDP.
    fn discover(#[default(500)] milliseconds: u32) -> Attempt {
        lan::discover(milliseconds)
    }

    /// Shakes hands with a TLS server.
    fn peek_tls(
        address: String,
        port: u16,
        #[default("")] name: String,
        #[default(2000)] milliseconds: u32,
    ) -> Attempt {
        lan::peek(&address, port, &name, milliseconds)
    }

    /// Gets a page by HTTPS from whoever answers.
    fn get_https(
        address: String,
        port: u16,
        #[default("")] name: String,
        #[default(4096)] body: u32,
        #[default(2000)] milliseconds: u32,
    ) -> Attempt {
        lan::page(&address, port, &name, body, milliseconds)
    }

    /// Shakes hands over and over.
    fn peek_flood(address: String, port: u16, count: u32) -> Attempt {
        lan::peek_flood(&address, port, count)
    }

    /// Fetches a URL; tells status, `location` and the beginning of the body.
    fn http(url: String, #[default("GET")] method: String, headers: Option<BTreeMap<String, String>>) -> Attempt {
        network::http(&url, &method, headers.unwrap_or_default())
    }

    /// Panics.
    #[expect(clippy::panic, reason = "that is the attempt")]
    fn panic(#[default("hostile")] message: String) {
        panic!("{message}");
    }

    /// Aborts.
    fn abort() {
        std::process::abort();
    }

    /// Exits with a code, which a component called by a host has no business doing.
    fn exit(code: i32) {
        std::process::exit(code);
    }
}
