//! What a dry run says: which steps would do something.

use super::Work;
use crate::commands::provision::report::{Outcome, Step};
use crate::commands::provision::survey::{Place, Service, State};

impl Work<'_> {
    pub(super) fn foretell(&mut self, place: &Place, state: &State) {
        let is_same = state.sha256.as_deref() == Some(self.plan.program.sha256.as_str());
        let program = place.program();
        let mut say = |step, is_there: bool, there: String, planned: String| {
            if is_there {
                self.report.tell(step, Outcome::Unchanged, there);
            } else {
                self.report.tell(step, Outcome::Planned, planned);
            }
        };
        let enrol = match &self.plan.enrol {
            Some(_) => "use the enrol string that was given".to_owned(),
            None => format!(
                "make an enrolment for one agent of site {} at the nexus",
                self.plan.site.as_deref().unwrap_or("default")
            ),
        };
        say(
            Step::Enrol,
            state.is_registered,
            "an agent is registered there".to_owned(),
            enrol,
        );
        let megabytes = self.plan.program.bytes.div_ceil(1024 * 1024);
        say(
            Step::Upload,
            is_same,
            format!("{program} is the same"),
            format!("send {megabytes} MiB"),
        );
        let kept = if state.has_program {
            "; the old one is kept as venom-host.previous"
        } else {
            ""
        };
        say(
            Step::Install,
            is_same,
            program.clone(),
            format!("put it at {program}{kept}"),
        );
        let register = format!("register as {} in {}", place.account, place.data_dir);
        say(
            Step::Register,
            state.is_registered,
            format!("registered in {}", place.data_dir),
            register,
        );
        let start = match place.service {
            Service::System | Service::User => format!("write {} and start it", place.unit),
            Service::None => "start it with `venom-host agent start`".to_owned(),
        };
        say(Step::Start, false, String::new(), start);
    }
}
