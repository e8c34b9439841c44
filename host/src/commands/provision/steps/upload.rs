//! The program: sent beside the old one, tried there, and put in its place.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{QUICK, Work, fine, yes};
use crate::commands::provision::report::{Outcome, Step};
use crate::commands::provision::scripts;
use crate::commands::provision::ssh::Script;
use crate::commands::provision::survey::{Facts, Place, State};
use crate::failure::{Explain as _, Failure};
use crate::output;

/// An upload that is slower on the whole is given up.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 * 1024;
/// Bytes sent at one time.
const CHUNK: usize = 256 * 1024;

impl Work<'_> {
    /// Answers the name of the new program beside the old one; `None` when they are the same.
    pub(super) async fn upload(&mut self, place: &Place, state: &State) -> Result<Option<String>, Failure> {
        let program = &self.plan.program;
        if state.sha256.as_deref() == Some(program.sha256.as_str()) {
            let detail = format!("{} is the same", place.program());
            self.report.tell(Step::Upload, Outcome::Unchanged, detail);
            self.report.version.clone_from(&state.version);
            return Ok(None);
        }
        let new = format!(".venom-host.new.{}", uuid::Uuid::new_v4().simple());
        let path = format!("{}/{new}", place.prefix);
        if !state.has_prefix {
            self.note(
                Step::Upload,
                "an empty directory is removed",
                scripts::REMOVE_EMPTY,
                &[&place.prefix],
            );
        }
        self.note(Step::Upload, "what was sent is removed", scripts::REMOVE, &[&path]);
        let bytes = program.bytes.to_string();
        let words = [place.prefix.as_str(), &new, &bytes];
        let patience = QUICK + Duration::from_secs(program.bytes / SLOWEST_BYTES_PER_SECOND);
        let bar = bar(program.bytes);
        let mut file = tokio::fs::File::open(&program.path)
            .await
            .or_fail(format!("the program {} cannot be read", program.path.display()))?;
        let script = Script {
            text: scripts::UPLOAD,
            words: words.to_vec(),
            by: self.by,
            patience,
        };
        let said = self.ssh.run_with(&script, async |stdin| {
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = file.read(&mut chunk).await?;
                if read == 0 {
                    return Ok(());
                }
                stdin.write_all(chunk.get(..read).unwrap_or_default()).await?;
                bar.inc(read as u64);
            }
        });
        let said = said.await;
        bar.finish_and_clear();
        let facts = Facts::read(&fine(said?, "the program did not arrive there")?);
        if facts.get("sha256") != Some(program.sha256.as_str()) {
            return Err(Failure::new("the program arrived changed")
                .because(format!(
                    "its SHA-256 is {} here, {} there",
                    program.sha256,
                    facts.get("sha256").unwrap_or("none")
                ))
                .help("run the same command again"));
        }
        self.report.tell(
            Step::Upload,
            Outcome::Done,
            format!("{} MiB, SHA-256 as here", program.bytes.div_ceil(1024 * 1024)),
        );
        let said = self.script(scripts::TRY, &[&path], QUICK).await?;
        let facts = Facts::read(
            &fine(said, "the program does not start on that machine").map_err(|failure| {
                failure
                    .help("its system may be too old for this build: name a statically linked one with --program FILE")
            })?,
        );
        let version = facts.get("said").and_then(|said| said.strip_prefix("venom-host "));
        let Some(version) = version else {
            return Err(Failure::new("what arrived does not say that it is venom-host")
                .help("name the right program with --program FILE"));
        };
        self.report.version = Some(version.to_owned());
        Ok(Some(new))
    }

    /// Answers under which name the old program is kept meanwhile.
    pub(super) async fn install(
        &mut self,
        place: &Place,
        state: &State,
        new: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        let Some(new) = new else {
            self.report.tell(Step::Install, Outcome::Unchanged, place.program());
            return Ok(None);
        };
        self.remember_what_runs(place, state);
        let old = format!(".venom-host.old.{}", uuid::Uuid::new_v4().simple());
        let what = if state.has_program {
            "the old program is back"
        } else {
            "the program is removed"
        };
        self.note(
            Step::Install,
            what,
            scripts::UNINSTALL,
            &[&place.prefix, &old, yes(state.has_program)],
        );
        let said = self
            .script(scripts::INSTALL, &[&place.prefix, new, &old], QUICK)
            .await?;
        fine(said, "the program cannot be put in its place")?;
        self.report.tell(Step::Install, Outcome::Done, place.program());
        Ok(Some(old))
    }
}

fn bar(bytes: u64) -> indicatif::ProgressBar {
    if !output::is_watched() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(bytes);
    if let Ok(style) = indicatif::ProgressStyle::with_template("      upload    {bar:30} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    bar
}
