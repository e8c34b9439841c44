//! The Lua scripts, with the settings they need written into them.

use redis::{Cmd, Script};

use crate::Settings;

const BOOK: &str = include_str!("lua/book.lua");

/// Lowest level of the high priority queue.
const HIGH_FROM: u8 = venom_protocol::Priority::HIGH_QUEUE_FROM.level();

/// Whether a script may run when Redis is over its memory limit.
#[derive(Debug, Clone, Copy)]
enum Full {
    /// What makes room or ends work.
    Runs,
    /// What brings more.
    Refused,
}

/// One script.
#[derive(Debug)]
pub(super) struct Code {
    text: String,
    digest: String,
}

impl Code {
    fn new(head: &str, full: Full, own: &str) -> Self {
        let flags = match full {
            Full::Runs => " flags=allow-oom",
            Full::Refused => "",
        };
        let text = format!("#!lua{flags}\n{head}\n{BOOK}\n{own}");
        let digest = Script::new(&text).get_hash().to_owned();
        Self { text, digest }
    }

    /// Runs what Redis knows by its digest; arguments follow. `values` and `bytes` are how many and how long they are,
    /// to take the memory once.
    pub(super) fn call(&self, key: &str, values: usize, bytes: usize) -> Cmd {
        let mut cmd = Cmd::with_capacity(values + 4, bytes + self.digest.len() + key.len() + 16);
        cmd.arg("EVALSHA").arg(&self.digest).arg(1).arg(key);
        cmd
    }

    /// The same call for a Redis that does not know the script yet.
    pub(super) fn call_with_text(&self, call: &Cmd) -> Cmd {
        let mut cmd = Cmd::new();
        cmd.arg("EVAL").arg(&self.text);
        for arg in call.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = arg {
                cmd.arg(bytes);
            }
        }
        cmd
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) submit: Code,
    pub(super) claim: Code,
    pub(super) discard: Code,
    pub(super) finish: Code,
    pub(super) settle: Code,
    pub(super) renew: Code,
    pub(super) leave: Code,
    pub(super) tend: Code,
    pub(super) cancel: Code,
    pub(super) requeue: Code,
    pub(super) progress: Code,
    pub(super) cache: Code,
    pub(super) uncache: Code,
    pub(super) cached: Code,
    pub(super) document: Code,
}

impl Scripts {
    pub(super) fn new(settings: &Settings) -> Self {
        let head = format!(
            "local HIGH_FROM, HIGH, BACKGROUND, KEEP, HINTS = {HIGH_FROM}, {}, {}, {}, {}",
            quoted(&settings.high_queue),
            quoted(&settings.background_queue),
            super::ask::millis(settings.result_ttl),
            quoted(&super::listen::hints_channel(settings)),
        );
        let code = |full, own| Code::new(&head, full, own);
        Self {
            submit: code(Full::Refused, include_str!("lua/submit.lua")),
            claim: code(Full::Runs, include_str!("lua/claim.lua")),
            discard: code(Full::Runs, include_str!("lua/discard.lua")),
            finish: code(Full::Runs, include_str!("lua/finish.lua")),
            settle: code(Full::Runs, include_str!("lua/settle.lua")),
            renew: code(Full::Runs, include_str!("lua/renew.lua")),
            leave: code(Full::Runs, include_str!("lua/leave.lua")),
            tend: code(Full::Runs, include_str!("lua/tend.lua")),
            cancel: code(Full::Runs, include_str!("lua/cancel.lua")),
            requeue: code(Full::Runs, include_str!("lua/requeue.lua")),
            progress: code(Full::Refused, include_str!("lua/progress.lua")),
            cache: code(Full::Refused, include_str!("lua/cache.lua")),
            uncache: code(Full::Runs, include_str!("lua/uncache.lua")),
            cached: code(Full::Runs, include_str!("lua/cached.lua")),
            document: code(Full::Refused, include_str!("lua/document.lua")),
        }
    }
}

/// As a Lua text: every byte that is no letter or digit as its number.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("\\{byte:03}"));
        }
    }
    out.push('"');
    out
}
