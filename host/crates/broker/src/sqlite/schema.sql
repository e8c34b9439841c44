-- Version 1. Times are ms since 1970; states are numbered in code.rs.
CREATE TABLE lanes (
    no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    tasks INTEGER NOT NULL -- that are kept; a lane without any is removed
);
CREATE TABLE sessions (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL
);
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    state INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    place INTEGER NOT NULL, -- in its lane: seq, unless it was requeued
    fence INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    delay INTEGER NOT NULL, -- asked for, counted from the end of the last dependency
    due_at INTEGER,
    started_at INTEGER,
    ended_at INTEGER,
    session INTEGER,
    node BLOB,
    cancel INTEGER NOT NULL DEFAULT 0, -- somebody wants it cancelled while it runs
    parent INTEGER NOT NULL DEFAULT 0, -- others depend on it
    depends INTEGER NOT NULL, -- tasks it depends on
    blockers INTEGER NOT NULL, -- of those, how many it waits for
    key TEXT, -- idempotency
    fingerprint TEXT,
    code TEXT, -- how it failed
    outcome TEXT -- result, error or reason
);
-- Ids are made in time order, so this index grows at its end.
CREATE UNIQUE INDEX task_ids ON tasks (id);
CREATE UNIQUE INDEX task_keys ON tasks (key) WHERE key IS NOT NULL;
CREATE INDEX blocked ON tasks (state) WHERE state = 0;
CREATE INDEX delayed ON tasks (due_at) WHERE state = 1;
CREATE INDEX pending ON tasks (lane, priority, place) WHERE state = 2;
CREATE INDEX running ON tasks (state) WHERE state = 3;
CREATE INDEX ended ON tasks (state, ended_at) WHERE state > 3;

-- Apart from the tasks, because they never change and may be large.
CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    body TEXT NOT NULL
);
CREATE TABLE deps (
    parent INTEGER NOT NULL,
    child INTEGER NOT NULL,
    waits INTEGER NOT NULL, -- the child counts the parent among its blockers
    PRIMARY KEY (parent, child)
) WITHOUT ROWID;
CREATE INDEX dep_children ON deps (child);
CREATE TABLE progress (
    task INTEGER NOT NULL,
    n INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (task, n)
) WITHOUT ROWID;

CREATE TABLE totals (
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL
);
INSERT INTO totals VALUES (0, 0, 0);
CREATE TABLE groups (
    name TEXT PRIMARY KEY,
    concurrency INTEGER,
    rate REAL
) WITHOUT ROWID;

CREATE TABLE cache (
    no INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX cache_entries ON cache (namespace, key);
CREATE INDEX cache_expiry ON cache (expires_at);
CREATE TABLE namespaces (
    name TEXT PRIMARY KEY,
    used INTEGER NOT NULL -- bytes, of entries whose time is up too until they are removed
) WITHOUT ROWID;
