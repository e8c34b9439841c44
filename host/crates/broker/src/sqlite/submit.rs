//! Taking tasks in: everything is checked first, then everything is written.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{OptionalExtension, params};
use venom_protocol::TaskId;

use super::code;
use super::fault::Fault;
use super::moves::dependency_failed;
use super::txn::Txn;
use crate::{BrokerError, Hint, NewTask, State, Submitted};

/// Most tasks that an error names.
const NAMED: usize = 10;

/// What becomes of a task.
#[derive(Debug, Default)]
struct Plan {
    /// It stands for this one, which is there.
    known: Option<TaskId>,
    /// That it depends on, each once, as they are stored.
    parents: Vec<TaskId>,
    /// Of these, those that have not ended.
    blockers: BTreeSet<TaskId>,
    /// One that failed or was cancelled.
    failed: Option<(TaskId, State)>,
}

/// Takes all tasks or none.
pub(super) fn submit(txn: &mut Txn<'_>, tasks: &[NewTask]) -> Result<Vec<Submitted>, Fault> {
    let waiting = txn.books.counts.waiting();
    let asked = u64::try_from(tasks.len()).unwrap_or(u64::MAX);
    let is_plain = tasks
        .iter()
        .all(|task| task.idempotency.is_none() && task.depends_on.is_empty());
    if is_plain && waiting.saturating_add(asked) <= txn.settings.max_waiting {
        let none = Plan::default();
        return tasks.iter().map(|task| Ok(insert(txn, task, &none)?)).collect();
    }
    let plans = Planner::of(txn).plan(tasks)?;
    let asked = u64::try_from(plans.iter().filter(|plan| plan.known.is_none()).count()).unwrap_or(u64::MAX);
    let limit = txn.settings.max_waiting;
    if asked > 0 && waiting.saturating_add(asked) > limit {
        return Err(Fault::Answer(BrokerError::QueueFull { waiting, limit, asked }));
    }
    let written = tasks.iter().zip(&plans).map(|(task, plan)| match plan.known {
        Some(id) => Ok(Submitted {
            id,
            existing: id != task.id,
        }),
        None => Ok(insert(txn, task, plan)?),
    });
    written.collect()
}

/// Looks at a batch without changing anything.
struct Planner<'a, 'b> {
    txn: &'a Txn<'b>,
    /// Earlier tasks of the batch: what they stand for, and whether they have failed already.
    earlier: HashMap<TaskId, (TaskId, State)>,
    keys: HashMap<String, (String, TaskId)>,
    unknown: Vec<TaskId>,
}

impl<'a, 'b> Planner<'a, 'b> {
    fn of(txn: &'a Txn<'b>) -> Self {
        Self {
            txn,
            earlier: HashMap::new(),
            keys: HashMap::new(),
            unknown: Vec::new(),
        }
    }

    fn plan(mut self, tasks: &[NewTask]) -> Result<Vec<Plan>, Fault> {
        let plans: Vec<Plan> = tasks.iter().map(|task| self.one(task)).collect::<Result<_, Fault>>()?;
        if self.unknown.is_empty() {
            return Ok(plans);
        }
        self.unknown.truncate(NAMED);
        Err(Fault::Answer(BrokerError::UnknownDependency {
            tasks: self.unknown,
            kept: self.txn.settings.result_ttl,
        }))
    }

    fn one(&mut self, task: &NewTask) -> Result<Plan, Fault> {
        if let Some((known, state)) = self.known(task)? {
            self.earlier.insert(task.id, (known, state));
            return Ok(Plan {
                known: Some(known),
                ..Plan::default()
            });
        }
        let plan = self.dependencies(task)?;
        let state = if plan.failed.is_some() {
            State::Failed
        } else {
            State::Blocked
        };
        self.earlier.insert(task.id, (task.id, state));
        if let Some(asked) = &task.idempotency {
            self.keys
                .insert(asked.key.clone(), (asked.fingerprint.clone(), task.id));
        }
        Ok(plan)
    }

    /// The task that is there for this one: by id, else by idempotency key.
    fn known(&self, task: &NewTask) -> Result<Option<(TaskId, State)>, Fault> {
        if let Some(found) = self.look(task.id)? {
            return Ok(Some(found));
        }
        let Some(asked) = &task.idempotency else {
            return Ok(None);
        };
        let found = match self.keys.get(&asked.key) {
            Some(found) => Some(found.clone()),
            None => self.by_key(&asked.key)?,
        };
        match found {
            None => Ok(None),
            Some((fingerprint, id)) if fingerprint == asked.fingerprint => Ok(self.look(id)?),
            Some((_, task_id)) => Err(Fault::Answer(BrokerError::KeyReused {
                key: asked.key.clone(),
                task_id,
            })),
        }
    }

    fn by_key(&self, key: &str) -> rusqlite::Result<Option<(String, TaskId)>> {
        let mut read = self
            .txn
            .conn
            .prepare_cached("SELECT fingerprint, id FROM tasks WHERE key = ?1")?;
        read.query_row([key], |row| Ok((row.get(0)?, code::task_id(row, 1)?)))
            .optional()
    }

    fn look(&self, id: TaskId) -> rusqlite::Result<Option<(TaskId, State)>> {
        if let Some(found) = self.earlier.get(&id) {
            return Ok(Some(*found));
        }
        let mut read = self.txn.conn.prepare_cached("SELECT state FROM tasks WHERE id = ?1")?;
        let number = read
            .query_row([id.0.as_bytes().as_slice()], |row| row.get(0))
            .optional()?;
        // What was put aside will never complete.
        Ok(number.map(|number| (id, code::state(number).unwrap_or(State::Failed))))
    }

    fn dependencies(&mut self, task: &NewTask) -> Result<Plan, Fault> {
        let mut plan = Plan::default();
        let mut seen = BTreeSet::new();
        for asked in &task.depends_on {
            let Some((id, state)) = self.look(*asked)? else {
                self.unknown.push(*asked);
                continue;
            };
            if !seen.insert(id) {
                continue;
            }
            plan.parents.push(id);
            match state {
                State::Completed => {}
                State::Failed | State::Cancelled => plan.failed = plan.failed.or(Some((id, state))),
                State::Blocked | State::Delayed | State::Pending | State::Running => {
                    plan.blockers.insert(id);
                }
            }
        }
        Ok(plan)
    }
}

/// Writes a task; one whose id is there stays as it is.
fn insert(txn: &mut Txn<'_>, task: &NewTask, plan: &Plan) -> rusqlite::Result<Submitted> {
    let submitted = Submitted {
        id: task.id,
        existing: false,
    };
    let lane = txn.books.need_lane(txn.conn, &task.lane)?;
    let seq = txn.books.next_seq;
    let (state, due_at) = match plan.failed {
        Some(_) => (State::Failed, None),
        None if !plan.blockers.is_empty() => (State::Blocked, None),
        None => txn.waiting(code::millis(task.delay)),
    };
    if !write(txn, task, plan, seq, lane, (state, due_at))? {
        return Ok(submitted);
    }
    txn.books.next_seq += 1;
    txn.books.keep(lane, 1);
    txn.enter(state, lane, task.priority.level());
    if !plan.parents.is_empty() {
        link(txn, seq, plan)?;
    }
    if state == State::Failed {
        txn.say(Hint::Ended(vec![task.id]));
    }
    Ok(submitted)
}

fn write(
    txn: &Txn<'_>,
    task: &NewTask,
    plan: &Plan,
    seq: i64,
    lane: i64,
    (state, due_at): (State, Option<i64>),
) -> rusqlite::Result<bool> {
    let failed = plan.failed.map(|(id, state)| dependency_failed(id, state));
    let ended_at = failed.as_ref().map(|_| txn.now);
    let (code, outcome) = failed.unzip();
    let (key, fingerprint) = task
        .idempotency
        .as_ref()
        .map(|asked| (&asked.key, &asked.fingerprint))
        .unzip();
    let mut write = txn.conn.prepare_cached(
        "INSERT INTO tasks (seq, id, state, lane, priority, place, created_at, delay, due_at, ended_at, depends, \
         blockers, key, fingerprint, code, outcome) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?1, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (id) DO NOTHING",
    )?;
    let added = write.execute(params![
        seq,
        task.id.0.as_bytes().as_slice(),
        code::number(state),
        lane,
        task.priority.level(),
        txn.now,
        code::millis(task.delay),
        due_at,
        ended_at,
        code::limit(plan.parents.len()),
        if state == State::Blocked {
            code::limit(plan.blockers.len())
        } else {
            0
        },
        key,
        fingerprint,
        code.map(venom_protocol::ErrorCode::as_str),
        outcome,
    ])?;
    if added == 0 {
        return Ok(false);
    }
    txn.conn
        .prepare_cached("INSERT INTO bodies (seq, body) VALUES (?1, ?2)")?
        .execute(params![seq, task.body])?;
    Ok(true)
}

/// Writes what a task depends on.
fn link(txn: &mut Txn<'_>, seq: i64, plan: &Plan) -> rusqlite::Result<()> {
    let mut mark = txn
        .conn
        .prepare_cached("UPDATE tasks SET parent = 1 WHERE id = ?1 RETURNING seq")?;
    let mut write = txn
        .conn
        .prepare_cached("INSERT INTO deps (parent, child, waits) VALUES (?1, ?2, ?3)")?;
    for id in &plan.parents {
        let parent: i64 = mark.query_row([id.0.as_bytes().as_slice()], |row| row.get(0))?;
        if let Some(held) = txn.books.leases.get_mut(id) {
            held.parent = true;
        }
        let waits = plan.failed.is_none() && plan.blockers.contains(id);
        write.execute(params![parent, seq, waits])?;
    }
    Ok(())
}
