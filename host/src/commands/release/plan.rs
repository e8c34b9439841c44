//! The plan of a rollout from its flags, and the bars of uploads.

use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use venom_protocol::{OnFailure, RolloutPlan, Wave};

use crate::cli::{OnFailureArg, PlanArgs};
use crate::failure::Failure;
use crate::settings::Seconds;

/// The plan that is asked for; none: everybody at once.
pub(super) fn plan(args: &PlanArgs) -> Result<Option<RolloutPlan>, Failure> {
    let nothing = args.waves.is_empty()
        && args.soak.is_none()
        && args.min_reports.is_none()
        && args.min_success.is_none()
        && args.on_failure.is_none();
    if nothing {
        return Ok(None);
    }
    let percents = if args.waves.is_empty() {
        &[100.0][..]
    } else {
        &args.waves
    };
    check(percents)?;
    if args.min_success.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return Err(Failure::usage("--min-success is a share").help("give 0 to 1, for example 0.9"));
    }
    let waves = percents.iter().map(|percent| {
        let built_in = Wave::at(*percent);
        Wave {
            soak: args.soak.map_or(built_in.soak, |Seconds(soak)| soak.as_secs_f64()),
            min_reports: args.min_reports.unwrap_or(built_in.min_reports),
            min_success: args.min_success.unwrap_or(built_in.min_success),
            ..built_in
        }
    });
    Ok(Some(RolloutPlan {
        waves: waves.collect(),
        on_failure: match args.on_failure {
            Some(OnFailureArg::Revert) => OnFailure::Revert,
            Some(OnFailureArg::Pause) | None => OnFailure::Pause,
        },
    }))
}

/// Each wave reaches more than the one before, the last everybody.
fn check(percents: &[f64]) -> Result<(), Failure> {
    let grows = percents.is_sorted_by(|a, b| a < b) && percents.first().is_some_and(|first| *first > 0.0);
    if grows && percents.last() == Some(&100.0) {
        return Ok(());
    }
    Err(Failure::usage("--waves cannot be used")
        .because("each wave must reach more of the spores than the one before, and the last one all of them")
        .help("write for example --waves 1,10,50,100"))
}

/// A bar that counts bytes; nothing where nobody watches.
pub(crate) fn bytes_bar(size: u64, path: &Path) -> ProgressBar {
    let target = if crate::output::is_watched() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(size), target);
    // The template is a constant; a wrong one would only lose the looks.
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}") {
        bar.set_style(style);
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    bar.with_prefix(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_waves() {
        assert_eq!(plan(&PlanArgs::default()).unwrap(), None);
        let args = PlanArgs {
            waves: vec![1.0, 50.0, 100.0],
            soak: Some("10m".parse().unwrap()),
            min_reports: Some(3),
            min_success: Some(0.99),
            on_failure: Some(OnFailureArg::Revert),
        };
        let made = plan(&args).unwrap().unwrap();
        assert_eq!(made.on_failure, OnFailure::Revert);
        let expected = [1.0, 50.0, 100.0].map(|percent| Wave {
            percent,
            soak: 600.0,
            min_reports: 3,
            min_success: 0.99,
        });
        assert_eq!(made.waves, expected);
        let soak = PlanArgs {
            soak: Some("1s".parse().unwrap()),
            ..PlanArgs::default()
        };
        let made = plan(&soak).unwrap().unwrap();
        assert_eq!(
            made.waves,
            [Wave {
                soak: 1.0,
                ..Wave::at(100.0)
            }]
        );
    }

    #[test]
    fn waves_that_do_not_grow_to_everybody_are_refused() {
        for waves in [
            vec![1.0, 50.0],
            vec![50.0, 10.0, 100.0],
            vec![0.0, 100.0],
            vec![100.0, 100.0],
            vec![f64::NAN, 100.0],
        ] {
            let args = PlanArgs {
                waves: waves.clone(),
                ..PlanArgs::default()
            };
            assert_eq!(plan(&args).unwrap_err().exit_code(), 2, "{waves:?}");
        }
        let args = PlanArgs {
            min_success: Some(90.0),
            ..PlanArgs::default()
        };
        assert_eq!(plan(&args).unwrap_err().exit_code(), 2);
    }
}
