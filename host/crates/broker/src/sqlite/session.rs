//! Sessions: who may claim, for how long, and what becomes of their leases. How long one lives is only in memory: when
//! this process ends, all its sessions end too.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use rusqlite::{Connection, params};
use venom_protocol::{NodeId, SessionId, TaskId};

use super::code;
use super::finish;
use super::txn::Txn;
use crate::{Hint, Note, Peer, Renewal};

#[derive(Debug)]
struct Session {
    no: i64,
    until: Instant,
    text: String,
    nodes: BTreeMap<NodeId, String>,
}

/// Sessions that were begun and not given up, and the numbers of those that were and still have leases.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: HashMap<SessionId, Session>,
    gone: Vec<i64>,
}

impl Sessions {
    /// Those of the store; how long they live is taken over for those that were known. Others have run out, and are
    /// given up the next time somebody tends, unless they are renewed first.
    pub(super) fn reload(mut self, conn: &Connection) -> rusqlite::Result<Self> {
        let mut before = std::mem::take(&mut self.known);
        let mut read = conn.prepare("SELECT no, id FROM sessions ORDER BY no DESC")?;
        let mut rows = read.query([])?;
        let now = Instant::now();
        let mut loaded = Self::default();
        while let Some(row) = rows.next()? {
            let no: i64 = row.get(0)?;
            let Ok(id) = code::uuid(row, 1).map(SessionId) else {
                loaded.gone.push(no);
                continue;
            };
            if self.gone.contains(&no) || loaded.known.contains_key(&id) {
                loaded.gone.push(no);
                continue;
            }
            let session = before.remove(&id).filter(|session| session.no == no);
            loaded
                .known
                .insert(id, session.unwrap_or_else(|| Session::new(no, now)));
        }
        Ok(loaded)
    }

    /// A lease names this session: if there is none of this number any more, the lease must come back.
    pub(super) fn bury_unknown(&mut self, no: i64) {
        let is_known = self.known.values().any(|session| session.no == no);
        if !is_known && !self.gone.contains(&no) {
            self.gone.push(no);
        }
    }

    /// Number of a session that may claim.
    pub(super) fn live(&self, id: SessionId, now: Instant) -> Option<i64> {
        self.known
            .get(&id)
            .filter(|session| session.until > now)
            .map(|session| session.no)
    }

    /// Number of a session that was not given up, and so still has its leases.
    pub(super) fn number(&self, id: SessionId) -> Option<i64> {
        self.known.get(&id).map(|session| session.no)
    }

    /// Gives up those whose time is over.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<SessionId> {
        let over: Vec<SessionId> = self
            .known
            .iter()
            .filter(|(_, session)| session.until <= now)
            .map(|(id, _)| *id)
            .collect();
        let numbers = over
            .iter()
            .filter_map(|id| self.known.remove(id))
            .map(|session| session.no);
        self.gone.extend(numbers);
        over
    }

    /// Numbers of those given up that have not been cleared away.
    pub(super) fn gone(&self) -> &[i64] {
        &self.gone
    }

    fn others(&self, id: SessionId, now: Instant) -> impl Iterator<Item = (SessionId, &Session)> {
        let live = self
            .known
            .iter()
            .filter(move |(other, session)| **other != id && session.until > now);
        live.map(|(other, session)| (*other, session))
    }
}

impl Session {
    const fn new(no: i64, until: Instant) -> Self {
        Self {
            no,
            until,
            text: String::new(),
            nodes: BTreeMap::new(),
        }
    }

    fn note(&mut self, note: &Note) {
        self.text.clone_from(&note.text);
        self.nodes.extend(note.nodes.iter().cloned());
        for node in &note.nodes_gone {
            self.nodes.remove(node);
        }
    }
}

/// Keeps a session, or begins it.
pub(super) fn renew(txn: &mut Txn<'_>, id: SessionId, note: &Note) -> rusqlite::Result<Renewal> {
    let until = txn.instant + txn.settings.session_ttl;
    let fresh = !txn.books.sessions.known.contains_key(&id);
    if fresh {
        let no = txn
            .conn
            .prepare_cached("INSERT INTO sessions (id) VALUES (?1)")?
            .insert([id.0.as_bytes().as_slice()])?;
        txn.books.sessions.known.insert(id, Session::new(no, until));
    }
    let Some(session) = txn.books.sessions.known.get_mut(&id) else {
        return Ok(Renewal::default());
    };
    session.until = until;
    session.note(note);
    let no = session.no;
    assign(txn, no, note)?;
    let held = txn
        .books
        .leases
        .iter()
        .filter(|(_, held)| held.session == no && held.cancel);
    let peer = |(session, told): (SessionId, &Session)| Peer {
        session,
        text: told.text.clone(),
    };
    Ok(Renewal {
        fresh,
        cancels: held.map(|(task, _)| *task).collect(),
        peers: txn.books.sessions.others(id, txn.instant).map(peer).collect(),
    })
}

fn assign(txn: &Txn<'_>, session: i64, note: &Note) -> rusqlite::Result<()> {
    let mut write = txn.conn.prepare_cached("UPDATE tasks SET node = ?2 WHERE seq = ?1")?;
    for (task, fence, node) in &note.assigned {
        let held = txn.books.leases.get(task);
        let held = held.filter(|held| held.session == session && code::unsigned(held.fence) == *fence);
        if let Some(held) = held {
            write.execute(params![held.seq, node.0.as_bytes().as_slice()])?;
        }
    }
    Ok(())
}

/// Ends a session in good order.
pub(super) fn leave(txn: &mut Txn<'_>, id: SessionId) -> rusqlite::Result<()> {
    let Some(session) = txn.books.sessions.known.remove(&id) else {
        return Ok(());
    };
    let mut failed = Vec::new();
    for task in leases_of(txn, session.no, usize::MAX) {
        finish::give_back(txn, task, &mut failed)?;
    }
    if !failed.is_empty() {
        txn.say(Hint::Ended(failed.iter().map(|dependent| dependent.id).collect()));
    }
    forget(txn, session.no)
}

/// Leases of a session, in the order in which they were taken in.
pub(super) fn leases_of(txn: &Txn<'_>, session: i64, most: usize) -> Vec<TaskId> {
    let held = txn.books.leases.iter().filter(|(_, held)| held.session == session);
    let mut tasks: Vec<(i64, TaskId)> = held.map(|(task, held)| (held.seq, *task)).collect();
    tasks.sort_unstable();
    tasks.truncate(most);
    tasks.into_iter().map(|(_, task)| task).collect()
}

/// Removes a session that has no leases any more.
pub(super) fn forget(txn: &mut Txn<'_>, no: i64) -> rusqlite::Result<()> {
    txn.books.sessions.gone.retain(|gone| *gone != no);
    txn.conn
        .prepare_cached("DELETE FROM sessions WHERE no = ?1")?
        .execute([no])?;
    Ok(())
}

/// Nodes of the other live sessions.
pub(super) fn nodes(txn: &Txn<'_>, id: SessionId) -> Vec<(SessionId, NodeId, String)> {
    let others = txn.books.sessions.others(id, txn.instant);
    let nodes = |(other, session): (SessionId, &Session)| -> Vec<_> {
        session
            .nodes
            .iter()
            .map(|(node, text)| (other, *node, text.clone()))
            .collect()
    };
    others.flat_map(nodes).collect()
}
