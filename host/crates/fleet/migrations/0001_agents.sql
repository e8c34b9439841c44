-- agents, enrolments, tokens, commands

CREATE TABLE enrolments (
    id TEXT NOT NULL PRIMARY KEY,
    -- SHA-256, hex
    token_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    site_name TEXT NOT NULL,
    location TEXT,
    -- JSON list
    tags TEXT NOT NULL,
    uses BIGINT NOT NULL,
    used BIGINT NOT NULL,
    approval BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    site_name TEXT NOT NULL,
    location TEXT,
    hostname TEXT,
    version TEXT,
    -- JSON lists
    subnets TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    tags TEXT NOT NULL,
    -- JSON object
    metadata TEXT NOT NULL,
    -- fingerprint of the network it scanned last
    current_network TEXT,
    -- absent: it came by the shared token
    enrolment_id TEXT,
    -- 1: it brought no id, this is one of ours
    is_given_id BIGINT NOT NULL,
    is_active BIGINT NOT NULL,
    -- when it was deregistered last
    ended_at BIGINT,
    approved BIGINT NOT NULL,
    -- 1: it has shown a token since it was let in
    token_used BIGINT NOT NULL,
    registered_at BIGINT NOT NULL,
    -- when it registered last
    renewed_at BIGINT NOT NULL,
    last_seen BIGINT,
    -- where it stood when last told: pending, online, stale, offline
    status TEXT NOT NULL,
    -- JSON object
    outbox TEXT,
    boot_id TEXT,
    boot_seen BIGINT,
    -- JSON list of superseded ones, newest last
    boots TEXT NOT NULL,
    clone_suspected_at BIGINT,
    clone_told_at BIGINT
);

CREATE INDEX agents_by_name ON agents (name, id);
CREATE INDEX agents_by_site ON agents (site_name, name, id);
CREATE INDEX agents_by_silence ON agents (status, last_seen);
CREATE INDEX agents_by_end ON agents (ended_at);
CREATE INDEX agents_by_enrolment ON agents (enrolment_id);
-- how many there are, by site and by where they stand
CREATE INDEX agents_active ON agents (site_name, status) WHERE is_active = 1;

-- a row for each token that is good; ending one removes it
CREATE TABLE agent_tokens (
    -- SHA-256, hex
    hash TEXT NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT,
    -- absent: when it is ended
    ends_at BIGINT,
    -- hash of the one that ends when this one is used
    replaces TEXT
);

CREATE INDEX agent_tokens_by_agent ON agent_tokens (agent_id, created_at);
CREATE INDEX agent_tokens_by_end ON agent_tokens (ends_at);

CREATE TABLE commands (
    id TEXT NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL,
    command_type TEXT NOT NULL,
    -- JSON
    params TEXT NOT NULL,
    result TEXT,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);

CREATE INDEX commands_by_agent ON commands (agent_id, created_at, id);
CREATE INDEX commands_by_status ON commands (status, created_at);
-- those that are forgotten some time
CREATE INDEX commands_ended ON commands (updated_at) WHERE status IN ('completed', 'failed');
