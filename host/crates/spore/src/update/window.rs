//! When an operator lets updates happen: times of day, in UTC.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use venom_protocol::Timestamp;

const DAY: u32 = 24 * 3600;

/// A time of day in UTC, from the first minute to before the last; over midnight when it ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Seconds after midnight.
    from: u32,
    /// Seconds after midnight.
    to: u32,
}

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no update window: write two times of day in UTC, like `02:00-05:00` or `23:30-01:00`")]
pub struct InvalidWindow {
    text: String,
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let parsed = text
            .split_once('-')
            .and_then(|(from, to)| Some((time_of_day(from)?, time_of_day(to)?)));
        match parsed {
            Some((from, to)) if from != to && from < DAY => Ok(Self { from, to }),
            _ => Err(InvalidWindow {
                text: text.chars().take(40).collect(),
            }),
        }
    }
}

/// `24:00` is the end of the day.
fn time_of_day(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let seconds = hours * 3600 + minutes * 60;
    (minutes < 60 && seconds <= DAY).then_some(seconds)
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |seconds: u32| (seconds / 3600, seconds % 3600 / 60);
        let ((from_hour, from_minute), (to_hour, to_minute)) = (part(self.from), part(self.to));
        write!(f, "{from_hour:02}:{from_minute:02}-{to_hour:02}:{to_minute:02} UTC")
    }
}

impl Window {
    fn is_open_at(&self, second: u32) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&second)
        } else {
            second >= self.from || second < self.to
        }
    }
}

/// How long until one of the windows is open; zero: now. No windows are open always.
pub(super) fn opens_in(windows: &[Window], now: Timestamp) -> Duration {
    let second = u32::try_from(now.0.as_second().rem_euclid(i64::from(DAY))).unwrap_or(0);
    if windows.is_empty() || windows.iter().any(|window| window.is_open_at(second)) {
        return Duration::ZERO;
    }
    let until = |window: &Window| (window.from + DAY - second) % DAY;
    let soonest = windows.iter().map(until).min().unwrap_or(0);
    Duration::from_secs(u64::from(soonest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        Timestamp::parse(&format!("2026-05-04T{time}Z")).unwrap()
    }

    fn windows(texts: &[&str]) -> Vec<Window> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_window_opens_and_closes() {
        let night = windows(&["02:00-05:00"]);
        let minutes = |time: &str| opens_in(&night, at(time)).as_secs() / 60;
        assert_eq!(minutes("01:59:00"), 1);
        assert_eq!(minutes("02:00:00"), 0);
        assert_eq!(opens_in(&night, at("04:59:59")), Duration::ZERO);
        assert_eq!(minutes("05:00:00"), 21 * 60);
    }

    #[test]
    fn a_window_goes_over_midnight_and_the_soonest_of_several_counts() {
        let two = windows(&["23:30-01:00", "12:00-12:30"]);
        for open in ["23:30:00", "00:59:59", "12:15:00"] {
            assert_eq!(opens_in(&two, at(open)), Duration::ZERO, "{open}");
        }
        assert_eq!(opens_in(&two, at("11:00:00")), Duration::from_secs(3600));
        assert_eq!(opens_in(&two, at("12:30:00")), Duration::from_secs(11 * 3600));
        assert_eq!(opens_in(&[], at("11:00:00")), Duration::ZERO);
    }

    #[test]
    fn nonsense_is_refused_and_what_is_written_is_shown_again() {
        for text in [
            "",
            "02:00",
            "2:00-3:00",
            "02:60-03:00",
            "24:01-01:00",
            "25:00-01:00",
            "02:00-02:00",
            "24:00-01:00",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
        assert_eq!(windows(&["22:00-24:00"])[0].to_string(), "22:00-24:00 UTC");
    }
}
