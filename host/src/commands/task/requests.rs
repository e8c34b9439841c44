//! What people write on the command line, as the requests the nexus takes. Pure.

use venom_protocol::{NodeId, Placement, Requirements, Strategy, TaskRequest};

use crate::cli::{NodeNeedsArgs, StrategyArg, SubmitArgs};
use crate::params::Target;
use crate::settings::Seconds;

/// A task that asks for nothing beyond its method.
pub(crate) fn blank(target: Target) -> TaskRequest {
    TaskRequest::new(target.skill, target.method)
}

/// What the nodes must have; none when it does not matter.
pub(crate) fn requirements(needs: &NodeNeedsArgs, node_id: Option<NodeId>) -> Option<Requirements> {
    let requirements = Requirements {
        gpu: needs.gpu,
        capabilities: Vec::new(),
        tags: needs.tags.clone(),
        exclude_tags: needs.exclude_tags.clone(),
        node_id,
    };
    (requirements != Requirements::default()).then_some(requirements)
}

/// The task the flags describe, but for its parameters.
pub(super) fn of_flags(args: &SubmitArgs, target: Target, node_id: Option<NodeId>) -> TaskRequest {
    let seconds = |time: Option<Seconds>| time.map(|Seconds(time)| time.as_secs_f64());
    TaskRequest {
        priority: args.priority,
        timeout: seconds(args.timeout),
        max_retries: args.max_retries,
        requirements: requirements(&args.nodes, node_id),
        placement: placement(args),
        group: args.group.clone(),
        depends_on: args.depends_on.iter().map(ToString::to_string).collect(),
        idempotency_key: args.key.clone(),
        delay: seconds(args.delay),
        task_type: args.task_type.clone(),
        ..blank(target)
    }
}

fn placement(args: &SubmitArgs) -> Option<Placement> {
    let placement = Placement {
        strategy: args.strategy.map_or(Strategy::default(), Strategy::from),
        prefer_tags: args.prefer_tags.clone(),
        with_group: None,
    };
    (placement != Placement::default()).then_some(placement)
}

impl From<StrategyArg> for Strategy {
    fn from(strategy: StrategyArg) -> Self {
        match strategy {
            StrategyArg::LeastLoaded => Self::LeastLoaded,
            StrategyArg::RoundRobin => Self::RoundRobin,
            StrategyArg::Spread => Self::Spread,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command, TaskCommand};

    fn told(flags: &str) -> serde_json::Value {
        let words = "venom-host task submit EchoSkill.say"
            .split(' ')
            .chain(flags.split_whitespace());
        let Command::Task(TaskCommand::Submit(args)) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not submit")
        };
        let target = Target::parse(args.target.as_deref().unwrap()).unwrap();
        let node = args.node.as_deref().map(|id| id.parse().unwrap());
        serde_json::to_value(of_flags(&args, target, node)).unwrap()
    }

    #[test]
    fn flags_that_are_absent_are_left_to_the_nexus() {
        assert_eq!(
            told(""),
            serde_json::json!({"skill_name": "EchoSkill", "method_name": "say"})
        );
    }

    #[test]
    fn the_nexus_is_told_every_flag() {
        let id = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
        let told = told(&format!(
            "--priority 7 --timeout 2m --max-retries 4 --delay 1.5 --key k --depends-on {id} --tag a --tag b \
             --exclude-tag c --gpu --node {id} --group g --strategy round-robin --prefer-tag d --type t"
        ));
        let expected = serde_json::json!({
            "skill_name": "EchoSkill", "method_name": "say", "priority": 7, "timeout": 120.0, "max_retries": 4,
            "delay": 1.5, "idempotency_key": "k", "depends_on": [id], "group": "g", "task_type": "t",
            "requirements": {"gpu": true, "capabilities": [], "tags": ["a", "b"], "exclude_tags": ["c"], "node_id": id},
            "placement": {"strategy": "round_robin", "prefer_tags": ["d"]},
        });
        assert_eq!(told, expected);
    }
}
