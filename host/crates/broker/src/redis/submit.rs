//! Takes tasks in: sorts them into plain ones, which are written many at a time, and others.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use redis::Cmd;
use uuid::fmt::Hyphenated;
use venom_protocol::{Lane, Priority, TaskId};

use super::RedisBroker;
use super::ask::millis;
use super::record::ID;
use super::reply::{Reader, task_id};
use crate::{Answer, BrokerError, NewTask, Settings, Submitted};

/// Tasks and bytes of bodies in one step. Larger batches are several steps: one step keeps everybody else waiting, about
/// 3 ms for 1,000 tasks.
const TASKS: usize = 20_000;
const BYTES: usize = 64 * 1_024 * 1_024;

/// Bytes of a task besides its body, about.
const EXTRA: usize = 128;

/// Flags of records, as in `lua/book.lua`.
const GROUP: u32 = 4;
const KEY: u32 = 8;
const DEPS: u32 = 16;

impl RedisBroker {
    pub(super) async fn take_in(&self, tasks: &[NewTask]) -> Answer<Vec<Submitted>> {
        let mut answers = Vec::with_capacity(tasks.len());
        for step in steps(tasks) {
            let batch = Batch::of(step, &self.settings, &self.tag);
            let call = batch.call(self);
            let answer = self.run(self.link_for(step.len()), &self.scripts.submit, &call).await?;
            let mut taken: Vec<Submitted> = step
                .iter()
                .map(|task| Submitted {
                    id: task.id,
                    existing: false,
                })
                .collect();
            batch.read(&self.settings, self.reader(), answer, &mut taken)?;
            answers.append(&mut taken);
        }
        Ok(answers)
    }
}

/// Parts of a batch that are taken in one step each.
fn steps(tasks: &[NewTask]) -> Vec<&[NewTask]> {
    let mut steps = Vec::new();
    let mut rest = tasks;
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fits = |task: &&NewTask| {
            bytes = bytes.saturating_add(task.body.len() + EXTRA);
            bytes <= BYTES
        };
        let most = rest.iter().take(TASKS).take_while(fits).count().max(1);
        let (step, more) = rest.split_at(most);
        steps.push(step);
        rest = more;
    }
    steps
}

/// Plain tasks of one lane and priority.
struct Plain<'a> {
    lane: &'a Lane,
    priority: Priority,
    tasks: Vec<&'a NewTask>,
}

/// One step.
struct Batch<'a> {
    plain: Vec<Plain<'a>>,
    /// Tasks with a key, dependencies or a delay, and their place in the batch.
    others: Vec<(usize, &'a NewTask)>,
    /// Place of each task, when one of them may depend on another.
    places: HashMap<TaskId, usize>,
    settings: &'a Settings,
    tag: &'a str,
    bytes: usize,
}

impl<'a> Batch<'a> {
    fn of(tasks: &'a [NewTask], settings: &'a Settings, tag: &'a str) -> Self {
        let mut batch = Self {
            plain: Vec::new(),
            others: Vec::new(),
            places: HashMap::new(),
            settings,
            tag,
            bytes: tasks.iter().map(|task| task.body.len() + EXTRA).sum(),
        };
        let mut known: HashMap<(&Lane, Priority), usize> = HashMap::new();
        let mut seen = HashSet::with_capacity(tasks.len());
        for (place, task) in tasks.iter().enumerate() {
            // an id that comes twice is one task
            if !seen.insert(task.id) {
                continue;
            }
            if task.idempotency.is_some() || !task.depends_on.is_empty() || !task.delay.is_zero() {
                batch.others.push((place, task));
                continue;
            }
            let number = *known.entry((&task.lane, task.priority)).or_insert_with(|| {
                batch.plain.push(Plain {
                    lane: &task.lane,
                    priority: task.priority,
                    tasks: Vec::new(),
                });
                batch.plain.len() - 1
            });
            if let Some(plain) = batch.plain.get_mut(number) {
                plain.tasks.push(task);
            }
        }
        if batch.others.iter().any(|(_, task)| !task.depends_on.is_empty()) {
            batch.places = tasks.iter().enumerate().map(|(place, task)| (task.id, place)).collect();
        }
        batch
    }

    fn call(&self, broker: &RedisBroker) -> Cmd {
        let plain: usize = self.plain.iter().map(|plain| plain.tasks.len()).sum();
        let values = 4 + 5 * self.plain.len() + 2 * plain + 10 * self.others.len();
        let mut cmd = broker.call(&broker.scripts.submit, values, self.bytes + 64 * values);
        cmd.arg(text(broker.me.0).as_str())
            .arg(self.settings.max_waiting)
            .arg(self.plain.len());
        for plain in &self.plain {
            let level = plain.priority.level();
            cmd.arg(format!("{}:{level}", plain.lane))
                .arg(list(self.tag, self.settings, plain.lane, plain.priority));
            cmd.arg(level).arg(head(plain.lane)).arg(plain.tasks.len());
        }
        for plain in &self.plain {
            plain.add(&mut cmd);
        }
        cmd.arg(self.others.len());
        for (place, task) in &self.others {
            self.add(&mut cmd, *place, task);
        }
        cmd
    }

    fn add(&self, cmd: &mut Cmd, place: usize, task: &NewTask) {
        let (key, fingerprint) = task
            .idempotency
            .as_ref()
            .map_or(("", ""), |known| (known.key.as_str(), known.fingerprint.as_str()));
        let mut deps: Vec<TaskId> = Vec::with_capacity(task.depends_on.len());
        for dep in &task.depends_on {
            if !deps.contains(dep) {
                deps.push(*dep);
            }
        }
        let mut flags = flags_of(&task.lane);
        if task.idempotency.is_some() {
            flags |= KEY;
        }
        if !deps.is_empty() {
            flags |= DEPS;
        }
        cmd.arg(text(task.id.0).as_str())
            .arg(key)
            .arg(fingerprint)
            .arg(millis(task.delay));
        cmd.arg(task.priority.level())
            .arg(task.lane.as_str())
            .arg(flags)
            .arg(deps.len());
        for dep in deps {
            let is_earlier = self.places.get(&dep).is_some_and(|other| *other < place);
            cmd.arg(u8::from(is_earlier)).arg(text(dep.0).as_str());
        }
        cmd.arg(task.body.as_str());
    }

    fn read(
        &self,
        settings: &Settings,
        reader: Reader<'_>,
        answer: redis::Value,
        taken: &mut [Submitted],
    ) -> Answer<()> {
        let mut values = reader.list(answer)?.into_iter();
        let kind = reader.text(values.next().ok_or_else(|| reader.odd())?)?;
        let mut next = || values.next().ok_or_else(|| reader.odd());
        match kind.as_str() {
            "ok" => {
                for (place, _) in &self.others {
                    if let (Some(id), Some(submitted)) = (task_id(&next()?), taken.get_mut(*place)) {
                        *submitted = Submitted { id, existing: true };
                    }
                }
                Ok(())
            }
            "full" => Err(BrokerError::QueueFull {
                waiting: reader.count(next()?)?,
                limit: settings.max_waiting,
                asked: reader.count(next()?)?,
            }),
            "unknown" => Err(BrokerError::UnknownDependency {
                tasks: values.filter_map(|value| task_id(&value)).collect(),
                kept: settings.result_ttl,
            }),
            "reused" => Err(BrokerError::KeyReused {
                key: reader.text(next()?)?,
                task_id: task_id(&next()?).ok_or_else(|| reader.odd())?,
            }),
            _ => Err(reader.odd()),
        }
    }
}

impl Plain<'_> {
    fn add(&self, cmd: &mut Cmd) {
        let mut id = [0; ID];
        for task in &self.tasks {
            cmd.arg(&*task.id.0.hyphenated().encode_lower(&mut id));
        }
        let mut rest = String::new();
        for task in &self.tasks {
            rest.clear();
            let (level, lane, body) = (self.priority.level(), self.lane.as_str(), task.body.as_str());
            // writing to a text does not fail
            let _written = write!(rest, " {level} {} 0 0 {}|{lane}{body}", lane.len(), body.len());
            cmd.arg(rest.as_str());
        }
    }
}

/// Begin of the records of plain tasks, up to the time.
fn head(lane: &Lane) -> String {
    match flags_of(lane) {
        0 => "P|".to_owned(),
        flags => format!("P0 - 0 0 {flags} 0 0 0 - 0 0|"),
    }
}

fn flags_of(lane: &Lane) -> u32 {
    if lane.group().is_some() { GROUP } else { 0 }
}

/// Key of the list that tasks of a lane and priority wait in.
pub(super) fn list(tag: &str, settings: &Settings, lane: &Lane, priority: Priority) -> String {
    let queue = if priority.is_high() {
        &settings.high_queue
    } else {
        &settings.background_queue
    };
    format!("{tag}{queue}:{lane}:{}", priority.level())
}

/// An id as text, without memory of its own on the heap.
pub(super) struct IdText([u8; ID]);

impl IdText {
    pub(super) fn as_str(&self) -> &str {
        // hexadecimal digits and hyphens
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

pub(super) fn text(id: uuid::Uuid) -> IdText {
    let mut bytes = [0; Hyphenated::LENGTH];
    id.hyphenated().encode_lower(&mut bytes);
    IdText(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn task(body: &str) -> NewTask {
        NewTask {
            id: TaskId::next(),
            lane: "EchoSkill".parse().unwrap(),
            priority: Priority::HIGH,
            delay: Duration::ZERO,
            idempotency: None,
            depends_on: Vec::new(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn a_batch_is_one_step_as_long_as_it_may_be() {
        let tasks = vec![task("{}"); TASKS + 1];
        let lengths = |tasks: &[NewTask]| steps(tasks).iter().map(|step| step.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&tasks[..TASKS]), [TASKS]);
        assert_eq!(lengths(&tasks), [TASKS, 1]);
        let large = vec![task(&"x".repeat(BYTES / 2)); 2];
        assert_eq!(lengths(&large), [1, 1]);
        assert_eq!(lengths(&[task(&"x".repeat(BYTES))]), [1]);
        assert_eq!(lengths(&[]), [0_usize; 0]);
    }

    #[test]
    fn lists_are_named_after_queue_lane_and_priority() {
        let settings = Settings::default();
        let lane: Lane = "EchoSkill;gpu".parse().unwrap();
        let key = |priority| list("{venom}:", &settings, &lane, priority);
        assert_eq!(key(Priority::HIGH), "{venom}:venom:tasks:high:EchoSkill;gpu:8");
        assert_eq!(
            key(Priority::BACKGROUND),
            "{venom}:venom:tasks:background:EchoSkill;gpu:2"
        );
    }
}
