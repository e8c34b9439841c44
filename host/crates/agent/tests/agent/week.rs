//! A week without a nexus, by a clock that is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use venom_agent::{BatchKey, BatchKind, Missed, Outbox, OutboxSettings, Schedule};
use venom_protocol::{AgentId, Timestamp};

use crate::sim_disk::{Remains, SimDisk};

const QUARTER: Duration = Duration::from_secs(900);
const WEEK: u32 = 7 * 24 * 4;

fn after(quarters: u32) -> Timestamp {
    let begin = Timestamp::parse("2026-05-04T00:00:00Z").unwrap();
    Timestamp(begin.0 + QUARTER * quarters)
}

#[test]
fn a_week_offline_loses_nothing_and_does_not_delay_today() {
    let schedule = Schedule {
        missed: Missed::RunOnce,
        jitter: Duration::from_secs(60),
        ..Schedule::new("lan", QUARTER)
    };
    let agent: AgentId = "agent-1".parse().unwrap();
    let mut disk = SimDisk::default();
    let open =
        |disk: &SimDisk| Outbox::open(Path::new("/outbox"), OutboxSettings::default(), Arc::new(disk.clone())).unwrap();
    let mut outbox = open(&disk);
    let (mut last, mut put) = (None, Vec::<BatchKey>::new());
    let scan = |outbox: &Outbox, quarter: u32, put: &mut Vec<BatchKey>, last: &mut Option<Timestamp>| {
        let now = Timestamp(after(quarter).0 + Duration::from_secs(61));
        let decision = schedule.decide(&agent, *last, now);
        *last = Some(decision.remember);
        for _ in 0..decision.runs {
            let body = format!("{{\"target\":\"10.0.0.0/24\",\"quarter\":{quarter}}}");
            put.push(outbox.put(BatchKind::Discovery, body.as_bytes(), now).unwrap());
        }
        now
    };
    for quarter in 0..WEEK {
        let now = scan(&outbox, quarter, &mut put, &mut last);
        // each try of the week fails, and nothing is lost for it
        if let Some(batch) = outbox.next(now, Duration::from_secs(u64::from(quarter) * 900)) {
            outbox.postpone(&batch.key, Duration::from_secs(u64::from(quarter) * 900 + 300));
        }
        // a power cut each night
        if quarter % 96 == 95 {
            disk = disk.after_power_cut(Remains::all()[0]);
            outbox = open(&disk);
        }
    }
    assert_eq!((put.len(), outbox.report().waiting), (WEEK as usize, u64::from(WEEK)));

    // the nexus is back: ten deliveries in each quarter, while scans go on
    let mut delivered = BTreeMap::new();
    let mut order = Vec::new();
    let mut quarter = WEEK;
    while outbox.report().waiting > 0 {
        let now = scan(&outbox, quarter, &mut put, &mut last);
        let newest = *put.last().unwrap();
        for turn in 0..10 {
            let Some(batch) = outbox.next(now, Duration::MAX) else {
                break;
            };
            outbox.done(&batch.key).unwrap();
            delivered.insert(batch.key, quarter);
            order.push(batch.key);
            if batch.key == newest {
                assert!(turn <= 3, "today waits for {turn} of last week");
            }
        }
        assert!(delivered.contains_key(&newest), "the scan of now was not delivered now");
        quarter += 1;
    }
    assert_eq!(delivered.len(), put.len(), "each once");
    assert_eq!(order.len(), put.len());
    let backlog: Vec<&BatchKey> = order
        .iter()
        .filter(|key| delivered[*key] > WEEK && put[..WEEK as usize - 1].contains(key))
        .collect();
    let place = |key: &BatchKey| put.iter().position(|it| it == key).unwrap();
    assert!(
        backlog.is_sorted_by_key(|key| place(key)),
        "the backlog is in its order"
    );
}
