//! What goes to stdout (data) and the few words for people that go to stderr. Colour only where it shows.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::{Explain as _, Failure};

/// Good news.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// Worth a look.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Bad news and things to be careful with.
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
/// Headings.
pub(crate) const BOLD: Style = Style::new().bold();
/// Less important.
pub(crate) const DIM: Style = Style::new().dimmed();

/// One line (or more) on stdout. A reader that has gone away is no failure: `venom-host ... | head`.
pub(crate) fn say(text: impl Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.or_fail("cannot write to stdout"),
    }
}

/// A value as JSON on stdout, indented.
pub(crate) fn say_json(value: &impl Serialize) -> Result<(), Failure> {
    say(serde_json::to_string_pretty(value).or_fail("cannot write the answer as JSON")?)
}

/// A line for people on stderr.
pub(crate) fn note(text: impl Display) {
    // A stderr that is closed leaves nobody to tell.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Whether somebody watches stderr, so that a progress bar makes sense.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Rows under headings, columns as wide as their widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain(headings.get(column).map(|heading| heading.len()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![format!("{BOLD}{}{BOLD:#}", line(headings.to_vec()))];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// A result of a skill: text as it is, anything else as indented JSON.
pub(crate) fn result_text(result: &serde_json::value::RawValue) -> String {
    match serde_json::from_str(result.get()) {
        Ok(serde_json::Value::String(text)) => text.strip_suffix('\n').map_or(text.clone(), str::to_owned),
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_else(|_| result.get().to_owned()),
        Err(_) => result.get().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["longer".to_owned(), "22".to_owned()],
        ];
        let plain = anstream::adapter::strip_str(&table(&["NAME", "N"], &rows)).to_string();
        assert_eq!(plain, "NAME    N\na       1\nlonger  22");
    }
}
