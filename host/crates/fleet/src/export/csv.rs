//! Assets as CSV (RFC 4180), for spreadsheets: no cell of it is ever taken for a formula.

use venom_protocol::AssetView;

const HEADER: [&str; 16] = [
    "site_name",
    "network",
    "ip",
    "mac",
    "hostname",
    "vendor",
    "bigr_category",
    "confidence_score",
    "os_hint",
    "open_ports",
    "open_findings",
    "first_seen",
    "last_seen",
    "is_gone",
    "agent_id",
    "id",
];

/// A header and a line for each asset; lines end as RFC 4180 says.
#[must_use]
pub fn assets_csv(assets: &[AssetView]) -> String {
    let mut csv = String::new();
    line(&mut csv, HEADER.iter().map(|name| (*name).to_owned()));
    for asset in assets {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let ports: Vec<String> = asset.open_ports.iter().map(ToString::to_string).collect();
        let cells = [
            asset.site_name.clone(),
            asset.network.clone(),
            asset.ip.clone(),
            text(&asset.mac),
            text(&asset.hostname),
            text(&asset.vendor),
            text(&asset.bigr_category),
            asset
                .confidence_score
                .map(|score| score.to_string())
                .unwrap_or_default(),
            text(&asset.os_hint),
            ports.join(" "),
            asset.open_findings.to_string(),
            asset.first_seen.to_string(),
            asset.last_seen.to_string(),
            asset.is_gone.to_string(),
            asset.agent_id.to_string(),
            asset.id.clone(),
        ];
        line(&mut csv, cells.into_iter());
    }
    csv
}

fn line(csv: &mut String, cells: impl Iterator<Item = String>) {
    for (number, text) in cells.enumerate() {
        if number > 0 {
            csv.push(',');
        }
        csv.push_str(&cell(&text));
    }
    csv.push_str("\r\n");
}

/// A spreadsheet takes what begins with one of `= + - @`, a tab or a line's end for a formula, quoted or not, also behind blanks and in the
/// wide letters of East Asia. An apostrophe before it makes it a text.
fn cell(text: &str) -> String {
    let start = text.trim_start_matches(' ').chars().next();
    let is_formula = start.is_some_and(|first| {
        matches!(
            first,
            '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'
        )
    });
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    // a semicolon separates cells where numbers are written with a comma
    if text.contains(['"', ',', ';', '\r', '\n', '\t', '\'']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples;
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, written) in [
            (
                "=HYPERLINK(\"http://x\",\"y\")",
                "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"",
            ),
            ("+1", "\"'+1\""),
            ("-2+3", "\"'-2+3\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("  =1", "\"'  =1\""),
            ("\t=1", "\"'\t=1\""),
            ("\u{ff1d}1", "\"'\u{ff1d}1\""),
            ("a,b", "\"a,b\""),
            ("a\nb", "\"a\nb\""),
            ("a;=1", "\"a;=1\""),
            ("192.168.1.1", "192.168.1.1"),
            ("", ""),
        ] {
            assert_eq!(cell(text), written);
        }
    }

    #[test]
    fn the_format_stays_as_it_is() {
        insta::assert_snapshot!(assets_csv(&samples::assets()));
    }

    /// One line of RFC 4180, read back.
    fn read(line: &str) -> Vec<String> {
        let mut cells = vec![String::new()];
        let mut letters = line.chars().peekable();
        let mut is_quoted = false;
        while let Some(letter) = letters.next() {
            let cell = cells.last_mut().unwrap();
            match letter {
                '"' if is_quoted && letters.peek() == Some(&'"') => cell.push(letters.next().unwrap()),
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => cells.push(String::new()),
                letter => cell.push(letter),
            }
        }
        cells
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_begins_no_formula(
            texts in proptest::collection::vec("[=+@,;\"'\\-\n\r\t a-c]{0,8}", 1..6)
        ) {
            let mut csv = String::new();
            line(&mut csv, texts.iter().cloned());
            let cells = read(csv.strip_suffix("\r\n").unwrap());
            prop_assert_eq!(cells.len(), texts.len());
            for (cell, text) in cells.iter().zip(&texts) {
                let as_text = format!("'{text}");
                prop_assert!(cell == text || *cell == as_text);
                prop_assert!(!cell.trim_start_matches(' ').starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
            }
        }
    }
}
