//! `EchoSkill`: says things back. The smallest useful skill, and what tests use to keep a spore busy. Asks for no capability.

use std::time::Duration;

use venom_sdk::{Result, progress};

/// The skill.
pub struct EchoSkill;

/// Says things back; for trying things out.
#[venom_sdk::skill]
impl EchoSkill {
    /// Returns `text`, repeated.
    fn say(
        &self,
        /// What to say.
        text: String,
        /// How often.
        #[default(1)]
        times: u32,
    ) -> String {
        text.repeat(times as usize)
    }

    /// Does nothing.
    fn noop() {}

    /// Sleeps, and answers how long.
    fn sleep(
        /// How long.
        milliseconds: u32,
    ) -> u32 {
        std::thread::sleep(Duration::from_millis(milliseconds.into()));
        milliseconds
    }

    /// Counts up, reporting progress and sending each number as a partial result.
    fn count(
        /// The last number.
        to: u32,
    ) -> Result<u32> {
        for number in 1..=to {
            progress::check()?;
            progress::emit(&number)?;
            progress::report(number, to, "counting");
        }
        Ok(to)
    }
}
