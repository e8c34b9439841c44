//! Looks at tasks, lanes, numbers, groups and progress without changing anything.

use redis::{Cmd, Pipeline, Value};
use venom_protocol::{GroupLimits, Priority, SessionId, TaskId};

use super::RedisBroker;
use super::heard::ready;
use super::record::{ID, Record};
use super::reply::as_text;
use super::submit::{list, text};
use crate::{Answer, Counts, GroupState, Progress, Ready, State, StoredTask};

/// Records read with one command: a few ms of work for Redis when they are small.
const RECORDS: usize = 1_000;

impl RedisBroker {
    /// Records of tasks as they are stored, in order; `Nil` where there is none or something else.
    pub(super) async fn records(&self, ids: &[TaskId]) -> Answer<Vec<(TaskId, Value)>> {
        let mut records = Vec::with_capacity(ids.len());
        for some in ids.chunks(RECORDS) {
            let mut get = Cmd::with_capacity(1 + some.len(), some.len() * (self.tag.len() + ID + 2));
            get.arg("MGET");
            for id in some {
                get.arg(self.key(&format!("t:{id}")));
            }
            let link = self.link_for(some.len());
            let answer = link
                .ask(&get)
                .await?
                .map_err(|error| super::fault::told(&self.place, &error))?;
            records.extend(some.iter().copied().zip(self.reader().list(answer)?));
        }
        Ok(records)
    }

    pub(super) async fn stored(&self, ids: &[TaskId]) -> Answer<Vec<Option<StoredTask>>> {
        let records = self.records(ids).await?;
        let mut tasks = Vec::with_capacity(ids.len());
        for (id, record) in records {
            let read = match &record {
                Value::BulkString(bytes) => Record::read(bytes).map(|record| record.stored(id)),
                _ => None,
            };
            if read.is_none() && ids.len() == 1 && self.is_there(id).await? {
                return Err(self.corrupt(id));
            }
            tasks.push(read);
        }
        self.add_nodes(&mut tasks).await?;
        Ok(tasks)
    }

    async fn is_there(&self, id: TaskId) -> Answer<bool> {
        let mut exists = redis::cmd("EXISTS");
        exists.arg(self.key(&format!("t:{id}")));
        Ok(self.reader().number(self.command(&exists).await?)? == 1)
    }

    /// Nodes of running tasks are noted with their session, not in their record.
    async fn add_nodes(&self, tasks: &mut [Option<StoredTask>]) -> Answer<()> {
        let mut notes = Pipeline::new();
        let mut running = Vec::new();
        for task in tasks.iter_mut().flatten() {
            let Some(session) = task.session else { continue };
            let mut get = redis::cmd("HGET");
            get.arg(self.key(&format!("run:{session}")))
                .arg(text(task.id.0).as_str());
            notes.add_command(get);
            running.push(task);
        }
        if running.is_empty() {
            return Ok(());
        }
        for (task, noted) in running.into_iter().zip(self.commands(&notes).await?) {
            let Some((fence, node)) = as_text(&noted).and_then(|noted| noted.split_once(' ')) else {
                continue;
            };
            if fence.parse() == Ok(task.fence) {
                task.node = node.parse().ok().or(task.node);
            }
        }
        Ok(())
    }

    pub(super) async fn in_state(&self, state: State, limit: usize) -> Answer<Vec<StoredTask>> {
        let last = i64::try_from(limit).unwrap_or(i64::MAX).saturating_sub(1);
        if last < 0 {
            return Ok(Vec::new());
        }
        let newest = i64::try_from(limit).unwrap_or(i64::MAX).saturating_neg();
        let mut ids = match state {
            State::Blocked => self.ids("ZRANGE", &self.key("blocked"), 0, last).await?,
            State::Delayed => self.ids("ZRANGE", &self.key("due"), 0, last).await?,
            State::Pending => self.pending(last).await?,
            State::Running => self.running().await?,
            State::Completed => {
                let mut done = self.ids("LRANGE", &self.key("done"), newest, -1).await?;
                done.reverse();
                done
            }
            State::Failed => self.ids("ZREVRANGE", &self.key("dead"), 0, last).await?,
            State::Cancelled => self.ids("ZREVRANGE", &self.key("gone"), 0, last).await?,
        };
        if state == State::Running || state == State::Pending {
            // ids made later sort later
            ids.sort_unstable();
            ids.dedup();
        }
        let mut tasks = Vec::new();
        // more than asked for, as some may have moved on; one alone would be asked for by name
        for some in ids.chunks(limit.clamp(2, RECORDS)) {
            let records = self.records(some).await?;
            let found = records.iter().filter_map(|(id, record)| match record {
                Value::BulkString(bytes) => Record::read(bytes).map(|record| record.stored(*id)),
                _ => None,
            });
            tasks.extend(found.filter(|task| task.state == state).map(Some));
            if tasks.len() >= limit {
                break;
            }
        }
        tasks.truncate(limit);
        self.add_nodes(&mut tasks).await?;
        Ok(tasks.into_iter().flatten().collect())
    }

    async fn ids(&self, command: &str, key: &str, from: i64, to: i64) -> Answer<Vec<TaskId>> {
        let mut range = redis::cmd(command);
        range.arg(key).arg(from).arg(to);
        let values = self.reader().list(self.command(&range).await?)?;
        // entries of `done` have the time before the id
        let id = |value: &Value| {
            let text = as_text(value)?;
            text.get(text.len().checked_sub(ID)?..)?.parse().ok()
        };
        Ok(values.iter().filter_map(id).collect())
    }

    async fn pending(&self, last: i64) -> Answer<Vec<TaskId>> {
        let mut heads = Pipeline::new();
        for lane in self.lanes(usize::MAX).await? {
            let mut range = redis::cmd("LRANGE");
            range
                .arg(list(&self.tag, &self.settings, &lane.lane, lane.priority))
                .arg(0)
                .arg(last);
            heads.add_command(range);
        }
        let mut ids = Vec::new();
        if heads.is_empty() {
            return Ok(ids);
        }
        for head in self.commands(&heads).await? {
            ids.extend(self.reader().task_ids(head)?);
        }
        Ok(ids)
    }

    async fn running(&self) -> Answer<Vec<TaskId>> {
        let mut sessions = redis::cmd("ZRANGE");
        sessions.arg(self.key("sessions")).arg(0).arg(-1);
        let mut lost = redis::cmd("LRANGE");
        lost.arg(self.key("lost")).arg(0).arg(-1);
        let mut both = Pipeline::with_capacity(2);
        both.add_command(sessions).add_command(lost);
        let reader = self.reader();
        let [sessions, lost] = self.commands(&both).await?.try_into().map_err(|_| reader.odd())?;
        let sessions: Vec<SessionId> = reader.session_ids(sessions)?;
        let mut keys: Vec<String> = sessions
            .iter()
            .map(|session| self.key(&format!("run:{session}")))
            .collect();
        for key in reader.list(lost)? {
            keys.push(reader.text(key)?);
        }
        let mut leases = Pipeline::with_capacity(keys.len());
        for key in &keys {
            let mut ids = redis::cmd("HKEYS");
            ids.arg(key);
            leases.add_command(ids);
        }
        let mut ids = Vec::new();
        if keys.is_empty() {
            return Ok(ids);
        }
        for some in self.commands(&leases).await? {
            ids.extend(reader.task_ids(some)?);
        }
        Ok(ids)
    }

    pub(super) async fn lanes(&self, limit: usize) -> Answer<Vec<Ready>> {
        let Some(last) = limit.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let mut range = redis::cmd("ZREVRANGE");
        range
            .arg(self.key("ready"))
            .arg(0)
            .arg(i64::try_from(last).unwrap_or(-1));
        let members = self.reader().list(self.command(&range).await?)?;
        let known = members.iter().filter_map(|member| ready(as_text(member)?));
        Ok(known.map(|(lane, priority)| Ready { lane, priority }).collect())
    }

    pub(super) async fn numbers(&self) -> Answer<Counts> {
        let mut all = redis::cmd("HGETALL");
        all.arg(self.key("n"));
        let mut dead = redis::cmd("ZCARD");
        dead.arg(self.key("dead"));
        let mut both = Pipeline::with_capacity(2);
        both.add_command(all).add_command(dead);
        let reader = self.reader();
        let [all, dead] = self.commands(&both).await?.try_into().map_err(|_| reader.odd())?;
        let mut counts = Counts {
            dead: reader.count(dead)?,
            ..Counts::default()
        };
        for (name, value) in reader.pairs(all)? {
            let name = reader.text(name)?;
            // somebody else's field is none of ours
            let Ok(value) = reader.count(value) else { continue };
            match name.as_str() {
                "d" => counts.delayed = value,
                "b" => counts.blocked = value,
                "r" => counts.running = value,
                "C" => counts.completed = value,
                "F" => counts.failed = value,
                "X" => counts.cancelled = value,
                other => {
                    let level = other.strip_prefix('p').and_then(|level| level.parse::<u8>().ok());
                    let level = level
                        .and_then(Priority::new)
                        .map(|priority| usize::from(priority.level()));
                    if let Some(pending) = level.and_then(|level| counts.pending.get_mut(level)) {
                        *pending = value;
                    }
                }
            }
        }
        Ok(counts)
    }

    pub(super) async fn log(&self, session: SessionId, entries: &[(TaskId, String)]) -> Answer<Vec<u64>> {
        let bytes: usize = entries.iter().map(|(_, text)| text.len() + 48).sum();
        let mut numbers = Vec::with_capacity(entries.len());
        for some in entries.chunks(RECORDS) {
            let mut call = self.call(&self.scripts.progress, 2 + 2 * some.len(), bytes);
            call.arg(text(session.0).as_str())
                .arg(self.settings.max_progress.max(1));
            for (id, entry) in some {
                call.arg(text(id.0).as_str()).arg(entry.as_str());
            }
            let answer = self
                .run(self.link_for(some.len()), &self.scripts.progress, &call)
                .await?;
            for number in self.reader().list(answer)? {
                numbers.push(self.reader().count(number)?);
            }
        }
        Ok(numbers)
    }

    pub(super) async fn logged(&self, task: TaskId, after: u64, limit: usize) -> Answer<Vec<Progress>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut range = redis::cmd("XRANGE");
        range
            .arg(self.key(&format!("p:{task}")))
            .arg(format!("(0-{after}"))
            .arg("+");
        range.arg("COUNT").arg(i64::try_from(limit).unwrap_or(i64::MAX));
        let entries = self.reader().list(self.command(&range).await?)?;
        let entry = |entry: Value| {
            let [id, fields] = self.reader().lists(entry).ok()?;
            let seq = as_text(&id)?.split_once('-')?.1.parse().ok()?;
            let (_, text) = self.reader().pairs(fields).ok()?.pop()?;
            let text = self.reader().text(text).ok()?;
            Some(Progress { seq, text })
        };
        Ok(entries.into_iter().filter_map(entry).collect())
    }

    pub(super) async fn limit(&self, name: &str, limits: Option<GroupLimits>) -> Answer<()> {
        let mut set = Pipeline::new();
        match limits {
            Some(limits) => {
                let word = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
                let concurrency = word(limits.concurrency.map(|most| most.to_string()));
                let rate = word(limits.rate.map(|rate| rate.to_string()));
                set.hset(self.key("groups"), name, format!("{concurrency} {rate}"));
            }
            None => {
                set.hdel(self.key("groups"), name).hdel(self.key("grouprate"), name);
            }
        }
        self.commands(&set).await.map(|_| ())
    }

    pub(super) async fn group_states(&self) -> Answer<Vec<GroupState>> {
        let mut both = Pipeline::with_capacity(2);
        both.hgetall(self.key("groups")).hgetall(self.key("grouprun"));
        let reader = self.reader();
        let [limits, running] = self.commands(&both).await?.try_into().map_err(|_| reader.odd())?;
        let mut groups = std::collections::BTreeMap::new();
        for (name, text) in reader.pairs(limits)? {
            let name = reader.text(name)?;
            let limits = as_text(&text).map(limits_of).unwrap_or_default();
            groups.insert(
                name.clone(),
                GroupState {
                    name,
                    limits,
                    running: 0,
                },
            );
        }
        for (name, count) in reader.pairs(running)? {
            let name = reader.text(name)?;
            let group = groups.entry(name.clone()).or_insert_with(|| GroupState {
                name,
                limits: GroupLimits::default(),
                running: 0,
            });
            group.running = reader.count(count)?;
        }
        Ok(groups.into_values().collect())
    }
}

/// `<concurrency> <rate>`, each `-` when there is none.
fn limits_of(text: &str) -> GroupLimits {
    let (concurrency, rate) = text.split_once(' ').unwrap_or_default();
    GroupLimits {
        concurrency: concurrency.parse().ok(),
        rate: rate.parse().ok(),
    }
}
