//! What people read when something did not work: what, why, and what to do about it. Decides the exit code.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};

use crate::settings::SettingError;

const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// Something that did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    what: String,
    why: Option<String>,
    help: Option<String>,
    usage: bool,
    /// Already told on stdout (as JSON): only the exit code is left.
    told: bool,
}

impl Failure {
    /// The command was right, but it did not work.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: None,
            help: None,
            usage: false,
            told: false,
        }
    }

    /// The command was wrong.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self {
            usage: true,
            ..Self::new(what)
        }
    }

    /// A failure whose text is on stdout already.
    pub(crate) fn told() -> Self {
        Self {
            told: true,
            ..Self::new("")
        }
    }

    /// Adds the reason.
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where it happened, before what happened.
    pub(crate) fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// 1: failed, 2: used wrongly.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }

    /// What and why in one line, for a report that has its own form.
    pub(crate) fn summary(&self) -> String {
        match &self.why {
            Some(why) => format!("{}: {why}", self.what),
            None => self.what.clone(),
        }
    }

    /// Writes it to stderr.
    pub(crate) fn print(&self) {
        if !self.told {
            // A stderr that is closed leaves nobody to tell.
            let _ = write!(anstream::stderr(), "{}", self.render());
        }
    }

    fn render(&self) -> String {
        let mut text = format!("{RED}error:{RED:#} {}\n", self.what);
        // Writing to a String does not fail.
        if let Some(why) = &self.why {
            let _ = writeln!(text, "  {DIM}why:{DIM:#} {}", indent(why));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, " {GREEN}help:{GREEN:#} {}", indent(help));
        }
        text
    }
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n       ")
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        Self::usage(chain(&error))
    }
}

/// Turns library errors into failures.
pub(crate) trait Explain<T> {
    /// Says what was being done.
    fn or_fail(self, what: impl Into<String>) -> Result<T, Failure>;

    /// Says what was being done, and what to do now.
    fn or_advise(self, what: impl Into<String>, help: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Error> Explain<T> for Result<T, E> {
    fn or_fail(self, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what).because(chain(&error)))
    }

    fn or_advise(self, what: impl Into<String>, help: impl Into<String>) -> Result<T, Failure> {
        self.or_fail(what).map_err(|failure| failure.help(help))
    }
}

/// An error and its sources in one line; a source that its parent quotes already is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            let _ = write!(text, ": {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_use_is_2_and_failure_is_1() {
        assert_eq!(Failure::usage("x").exit_code(), 2);
        assert_eq!(Failure::new("x").exit_code(), 1);
        assert_eq!(Failure::from(SettingError::Impossible("x".into())).exit_code(), 2);
    }

    #[test]
    fn says_what_why_and_what_to_do() {
        let text = Failure::new("cannot listen on 127.0.0.1:80")
            .because("permission denied")
            .help("pass --port")
            .render();
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "error: cannot listen on 127.0.0.1:80\n  why: permission denied\n help: pass --port\n"
        );
    }
}
