//! `release status`: how far a release has come on every spore, once or until the rollout ends.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::Instant;
use venom_protocol::{RolloutState, RolloutView};

use super::rows::{self, Row, headline, state_word};
use crate::cli::ReleaseStatusArgs;
use crate::client::{NexusClient, Trouble};
use crate::commands::task::bulk::patiently;
use crate::failure::Failure;
use crate::output;

/// How often a rollout is asked for: as fast as people see a table change.
const EVERY: Duration = Duration::from_millis(300);
/// How long a nexus that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a table where the terminal does not say how high it is.
const USUAL_HEIGHT: u16 = 24;

/// Shows it.
pub(super) async fn run(args: &ReleaseStatusArgs, client: &NexusClient) -> Result<(), Failure> {
    let channel = args.channel.channel.as_str();
    if args.follow {
        return follow(client, channel, None, args.json).await;
    }
    let view = fetch(client, channel)
        .await
        .map_err(|trouble| explain(trouble, channel))?;
    if args.json {
        return output::say_json(&view);
    }
    output::say(headline(&view))?;
    let rows = rows::rows(&view);
    if rows.is_empty() {
        output::note("no spores are known; start one with `venom-host spore`");
        return Ok(());
    }
    output::say(rows::table(&rows))
}

/// The rollout of a channel with all its spores.
pub(crate) async fn fetch(client: &NexusClient, channel: &str) -> Result<RolloutView, Trouble> {
    let path = format!("/api/v1/rollouts/{channel}?spores=true");
    client
        .ask(reqwest::Method::GET, &path, None::<&()>, Duration::ZERO)
        .await
}

/// A channel without a release.
pub(super) fn no_release(channel: &str) -> Failure {
    Failure::new(format!("channel {channel} has no release"))
        .help("publish one with `venom-host release publish --bundle FILE`, or name another channel with --channel")
}

fn explain(trouble: Trouble, channel: &str) -> Failure {
    if trouble.status == Some(StatusCode::NOT_FOUND) {
        no_release(channel)
    } else {
        trouble.failure
    }
}

/// Shows every change until the rollout of `release` (absent: of what is current now) ends. Fails where it did not end
/// well.
pub(crate) async fn follow(
    client: &NexusClient,
    channel: &str,
    release: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    let mut screen = Screen::new(json);
    let mut release = release;
    loop {
        let view = patiently(Instant::now() + PATIENCE, || fetch(client, channel)).await;
        let view = view.map_err(|trouble| explain(trouble, channel))?;
        let followed = release.get_or_insert_with(|| view.release_sha256.clone());
        if *followed != view.release_sha256 {
            return Err(
                Failure::new("the release that was followed is not the current one any more")
                    .because(format!(
                        "release {}.{} of {channel} took its place",
                        view.epoch, view.seq
                    ))
                    .help("follow that with `venom-host release status --follow`"),
            );
        }
        screen.show(&view)?;
        screen.tell_held(&view);
        if let Some(end) = end(&view) {
            return screen.finish(&view, end);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// How the rollout ended; none: it goes on.
fn end(view: &RolloutView) -> Option<Result<(), Failure>> {
    let ended = |help: &str| {
        let (epoch, seq, state) = (view.epoch, view.seq, state_word(view.state));
        let failure = Failure::new(format!("release {epoch}.{seq} of {} is {state}", view.channel));
        let failure = if view.reason.is_empty() {
            failure
        } else {
            failure.because(view.reason.clone())
        };
        Some(Err(failure.help(help)))
    };
    match view.state {
        RolloutState::Running => None,
        RolloutState::Completed => Some(Ok(())),
        RolloutState::Paused => {
            ended("go on with `venom-host release resume`, or end it with `release abort` or `release revert`")
        }
        RolloutState::Aborted => ended("publish another release"),
        RolloutState::Reverted => {
            ended("spores go back to what ran before; publish another release when it is repaired")
        }
    }
}

/// Where changes are shown: a table that is drawn again on a terminal, a line for each change elsewhere.
struct Screen {
    json: bool,
    redraws: bool,
    drawn: usize,
    head: String,
    known: BTreeMap<(String, Option<String>), Row>,
    told_held: bool,
}

impl Screen {
    fn new(json: bool) -> Self {
        Self {
            json,
            redraws: !json && std::io::stdout().is_terminal(),
            drawn: 0,
            head: String::new(),
            known: BTreeMap::new(),
            told_held: false,
        }
    }

    fn show(&mut self, view: &RolloutView) -> Result<(), Failure> {
        let rows = rows::rows(view);
        if self.redraws {
            return self.draw(view, &rows);
        }
        let head = headline(view);
        let is_new = self.head != head;
        if is_new && !self.json {
            output::say(&head)?;
        }
        self.head = head;
        for row in rows {
            let place = (row.node_id.to_string(), row.skill.clone());
            if self.known.get(&place) != Some(&row) {
                self.tell(&row)?;
                self.known.insert(place, row);
            }
        }
        Ok(())
    }

    /// A rollout whose spores hold a skill waits for an operator: said once.
    fn tell_held(&mut self, view: &RolloutView) {
        if view.counts.held > 0 && !self.told_held && !self.json && !self.redraws {
            output::note("spores hold what asks for more: approve it with `venom-host release approve SKILL`");
            self.told_held = true;
        }
    }

    fn tell(&self, row: &Row) -> Result<(), Failure> {
        if self.json {
            output::say(serde_json::json!({ "spore": row }))
        } else {
            output::say(row.line())
        }
    }

    /// Over what was drawn before, and no higher than the terminal: what has scrolled away cannot be drawn again.
    fn draw(&mut self, view: &RolloutView, rows: &[Row]) -> Result<(), Failure> {
        let (width, height) = terminal();
        let text = format!("{}\n{}", headline(view), rows::table(rows));
        let mut lines: Vec<String> = text.lines().map(|line| cut(line, width)).collect();
        let room = usize::from(height).saturating_sub(2).max(3);
        if lines.len() > room {
            let hidden = lines.len() - room + 1;
            lines.truncate(room - 1);
            lines.push(format!("... and {hidden} more rows: venom-host release status"));
        }
        let up = if self.drawn > 0 {
            format!("\u{1b}[{}A\u{1b}[J", self.drawn)
        } else {
            String::new()
        };
        self.drawn = lines.len();
        output::say(format!("{up}{}", lines.join("\n")))
    }

    fn finish(&self, view: &RolloutView, end: Result<(), Failure>) -> Result<(), Failure> {
        if !self.json {
            return end;
        }
        output::say(serde_json::json!({ "rollout": view }))?;
        end.map_err(|_| Failure::told())
    }
}

/// Columns and lines of the terminal.
fn terminal() -> (usize, u16) {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or((usize::MAX, USUAL_HEIGHT), |size| {
        (usize::from(size.ws_col), size.ws_row)
    })
}

/// A line that takes one line: a longer one would be two, and only one drawn over. Coloured lines are cut without
/// their colours.
fn cut(line: &str, width: usize) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    if plain.chars().count() <= width {
        return line.to_owned();
    }
    plain.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_and_short_ones_keep_their_colour() {
        let bold = output::BOLD;
        let line = format!("{bold}abc{bold:#}");
        assert_eq!(cut(&line, 3), line);
        assert_eq!(cut(&line, 2), "ab");
    }
}
