//! The task queue beside what a user would pick instead: BullMQ, apalis-redis and Celery, in one run on this machine.

mod bounded;
mod extremes;
mod figures;
mod hive;
mod install;
mod peers;
mod promises;
mod redis;
mod side_by_side;
mod venom;

use anyhow::Result;

use crate::Effort;
use crate::table::Row;
use hive::Backend;

/// How much is measured.
pub(crate) struct Plan {
    effort: Effort,
}

impl Plan {
    /// Numbers of queued tasks, and how many runs of each.
    fn sizes(&self) -> Vec<(usize, usize)> {
        if self.effort.quick {
            vec![(5_000, 1), (20_000, 1)]
        } else {
            vec![(5_000, 3), (20_000, 3), (100_000, 1)]
        }
    }

    fn latency_samples(&self) -> usize {
        self.effort.count(1_000)
    }
}

pub(crate) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let plan = Plan { effort };
    eprintln!("  BullMQ ...");
    let bullmq = peers::bullmq(&plan);
    eprintln!("  apalis-redis ...");
    let [apalis, unlocked] = peers::apalis(&plan);
    eprintln!("  Celery ...");
    let celery = peers::celery(&plan);
    eprintln!("  Venom ...");
    let redis = venom::measure(&plan, Backend::Redis);
    let embedded = venom::measure(&plan, Backend::Embedded);
    let default = venom::measure_default_sandbox(&plan);

    // Without its locks apalis-redis does less than the others: shown, not compared with.
    let mut rows = promises::beside_peers(&redis, &embedded, &apalis, &[&bullmq, &apalis, &celery]);
    rows.extend([promises::speedup(&redis), promises::speedup(&embedded)]);
    let sizes: Vec<usize> = plan.sizes().into_iter().map(|(tasks, _)| tasks).collect();
    let all = [redis, embedded, default, bullmq, apalis, unlocked, celery];
    println!("{}", side_by_side::render(&sizes, &all));
    rows.extend(extreme_rows(effort));
    Ok(rows)
}

fn extreme_rows(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, backend) in [("Redis", Backend::Redis), ("embedded", Backend::Embedded)] {
        eprintln!("  a long queue, {name} ...");
        match extremes::long_queue(effort, backend) {
            Ok(queue) => rows.extend(promises::long_queue(name, &queue)),
            Err(error) => rows.push(Row::failed(&format!("a long queue, {name}"), &error)),
        }
    }
    eprintln!("  a spore that comes, a spore that dies ...");
    rows.push(promises::cold_start(extremes::cold_start(effort)));
    rows.push(promises::killed_spore(extremes::killed_spore()));
    rows
}
