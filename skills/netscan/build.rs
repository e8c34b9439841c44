//! Makes the table of vendors small: names once, prefixes sorted, as `src/vendor.rs` reads it. The data is the IEEE's
//! public registry, as the crate `oui-data` carries it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Lengths of the registry's prefixes in hexadecimal digits (24, 28 and 36 bits), each in its own list.
const DIGITS: [usize; 3] = [6, 7, 9];
/// What every second company has at the end of its name.
const ENDS: [&str; 13] = [
    ", inc.",
    ", inc",
    " inc.",
    " inc",
    " llc",
    " gmbh",
    " corporation",
    ".,ltd.",
    "., ltd.",
    ", ltd.",
    ",ltd.",
    ", ltd",
    " ltd.",
];
/// Longest name kept.
const LONGEST: usize = 40;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    let entries: Vec<(&str, String)> = oui_data::OUI_ENTRIES
        .entries()
        .map(|(prefix, entry)| (*prefix, name(entry.organization())))
        .filter(|(_, name)| !name.is_empty() && name != "Private")
        .collect();
    let names: BTreeSet<&str> = entries.iter().map(|(_, name)| name.as_str()).collect();
    let number: BTreeMap<&str, u16> = names
        .iter()
        .enumerate()
        .map(|(number, name)| Ok((*name, u16::try_from(number)?)))
        .collect::<Result<_, std::num::TryFromIntError>>()?;
    let mut table = Vec::new();
    for digits in DIGITS {
        let mut list: Vec<(u64, u16)> = Vec::new();
        for (prefix, name) in entries.iter().filter(|(prefix, _)| prefix.len() == digits) {
            list.push((
                u64::from_str_radix(prefix, 16)?,
                *number.get(name.as_str()).ok_or("no number")?,
            ));
        }
        list.sort_unstable();
        table.extend(u32::try_from(list.len())?.to_le_bytes());
        for (prefix, name) in list {
            // the 5 low bytes hold 36 bits
            table.extend(prefix.to_be_bytes().iter().skip(3));
            table.extend(name.to_le_bytes());
        }
    }
    let mut text = String::new();
    let mut ends = Vec::new();
    for name in names {
        text.push_str(name);
        ends.extend(u32::try_from(text.len())?.to_le_bytes());
    }
    let directory = env::var_os("OUT_DIR").ok_or("cargo gives OUT_DIR")?;
    let place = |file: &str| Path::new(&directory).join(file);
    fs::write(place("prefixes"), table)?;
    fs::write(place("ends"), ends)?;
    fs::write(place("names"), text)?;
    Ok(())
}

/// A name in one line, not too long, without what every second company has at its end.
fn name(organization: &str) -> String {
    let mut name = organization.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = name.to_ascii_lowercase();
    if let Some(end) = ENDS.iter().find(|end| lower.ends_with(**end)) {
        name.truncate(name.len() - end.len());
    }
    let name = name.trim_end_matches([',', ' ']);
    name.chars().take(LONGEST).collect::<String>().trim_end().to_owned()
}
