//! `audit`: looking at an audit log, and whether it is whole. It changes nothing.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Serialize;
use venom_audit::{Broken, Problem, Record, Summary};

use crate::cli::{AuditCommand, ShowAuditArgs, VerifyAuditArgs};
use crate::failure::{Explain as _, Failure};
use crate::output;

/// What `audit verify --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    intact: bool,
    #[serde(flatten)]
    summary: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Runs one of the `audit` commands.
pub(crate) fn run(command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(args) => verify(&args),
        AuditCommand::Show(args) => show(&args),
    }
}

fn verify(args: &VerifyAuditArgs) -> Result<(), Failure> {
    let log = open(&args.file)?;
    let checked = match &args.head {
        Some(head) => venom_audit::verify_with_head(log, head),
        None => venom_audit::verify(log),
    };
    if args.json {
        tell_json(&args.file, &checked)?;
        return checked.map(drop).map_err(|_| Failure::told());
    }
    tell(&args.file, &checked.map_err(|broken| failure(&args.file, &broken))?)
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path).or_advise(
        format!("cannot read the audit log {}", path.display()),
        "name the file; a nexus writes `audit.jsonl` in its data directory",
    )?;
    Ok(BufReader::new(file))
}

fn tell_json(file: &Path, checked: &Result<Summary, Broken>) -> Result<(), Failure> {
    output::say_json(&Report {
        file,
        intact: checked.is_ok(),
        summary: checked.as_ref().ok(),
        line: checked.as_ref().err().map(|broken| broken.line),
        problem: checked.as_ref().err().map(|broken| broken.problem.to_string()),
    })
}

fn tell(file: &Path, summary: &Summary) -> Result<(), Failure> {
    let (green, yellow) = (output::GREEN, output::YELLOW);
    let Some(head) = &summary.head else {
        return output::say(format!(
            "{yellow}no chain{yellow:#}  {}: {} lines, none with a hash; the next event that is written begins the chain",
            file.display(),
            summary.before
        ));
    };
    output::say(format!(
        "{green}intact{green:#}  {}: {} lines",
        file.display(),
        summary.lines
    ))?;
    if summary.before > 0 {
        output::say(format!(
            "before  {} lines without hashes, as they were when the chain began",
            summary.before
        ))?;
    }
    if summary.repaired > 0 {
        output::say(format!(
            "closed  {} lines that a crash cut short (events audit_repaired)",
            summary.repaired
        ))?;
    }
    output::say(format!("head    {}", head.hash))
}

fn failure(file: &Path, broken: &Broken) -> Failure {
    let what = format!("the audit log {} is broken", file.display());
    let help = match broken.problem {
        Problem::CutShort => {
            "start the service that writes it: it closes the line off as `audit_repaired`. If it was started since, treat the log as altered"
        }
        Problem::Read(_) => "look at the disk; nothing was found wrong with what could be read",
        _ => {
            "keep a copy as evidence and compare it with a backup; lines before this one are as they were written. Moved away, the log begins anew at the next start of the service"
        }
    };
    Failure::new(what).because(broken.to_string()).help(help)
}

fn show(args: &ShowAuditArgs) -> Result<(), Failure> {
    let log = open(&args.file)?;
    let is_wanted = |record: &Record| args.event.as_ref().is_none_or(|event| *event == record.event);
    let (records, checked) = venom_audit::records(log, args.last.unwrap_or(usize::MAX), is_wanted);
    if args.json {
        output::say_json(&records)?;
    } else {
        output::say(table(&records))?;
    }
    // what was read up to there is worth showing; that it is not all must not be missed
    checked.map(drop).map_err(|broken| failure(&args.file, &broken))
}

fn table(records: &[Record]) -> String {
    let rows: Vec<_> = records
        .iter()
        .map(|record| {
            vec![
                record.seq.to_string(),
                record.timestamp.clone(),
                record.event.clone(),
                facts(record),
            ]
        })
        .collect();
    output::table(&["SEQ", "TIME", "EVENT", "FACTS"], &rows)
}

/// `name=value`, strings without quotes where that is clear.
fn facts(record: &Record) -> String {
    let shown = record.facts.iter().map(|(name, value)| match value.as_str() {
        Some(text) if !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            format!("{name}={text}")
        }
        _ => format!("{name}={value}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}
