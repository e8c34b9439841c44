-- sites, networks, subnets, scans, batches, assets, changes, certificates, findings
--
-- Everything belongs to a site, and what has an address to a network of that site: the same private addresses are in use everywhere.
-- An empty text means not known. An ip_key is the address as 32 hexadecimal digits, those of IPv4 mapped, so that ranges are ranges. What is
-- looked up within a network has a key that begins with a digest of site and network: with one column to look at, no planner can choose wrong,
-- whatever it knows of the tables.

CREATE TABLE sites (
    name TEXT NOT NULL PRIMARY KEY,
    first_seen BIGINT NOT NULL,
    last_scan BIGINT NOT NULL
);

CREATE TABLE networks (
    site_name TEXT NOT NULL,
    network TEXT NOT NULL,
    gateway_ip TEXT NOT NULL,
    gateway_mac TEXT NOT NULL,
    ssid TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (site_name, network)
);

-- what was scanned
CREATE TABLE subnets (
    site_name TEXT NOT NULL,
    cidr TEXT NOT NULL,
    first_key TEXT NOT NULL,
    last_key TEXT NOT NULL,
    last_scan BIGINT NOT NULL,
    PRIMARY KEY (site_name, cidr)
);

-- batches that came with a key, and what was answered
CREATE TABLE batches (
    agent_id TEXT NOT NULL,
    batch_key TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    answer TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (agent_id, batch_key)
);
CREATE INDEX batches_by_time ON batches (received_at);

CREATE TABLE scans (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    site_name TEXT NOT NULL,
    network TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    target TEXT NOT NULL,
    -- empty when the target is a name
    first_key TEXT NOT NULL,
    last_key TEXT NOT NULL,
    method TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    completed_at BIGINT,
    received_at BIGINT NOT NULL,
    items BIGINT NOT NULL,
    -- 1: one that began later was taken in before it
    is_late BIGINT NOT NULL
);
CREATE INDEX scans_by_time ON scans (received_at, id);
CREATE INDEX scans_by_site ON scans (site_name, received_at, id);
CREATE INDEX scans_by_agent ON scans (agent_id, kind, target, started_at);
CREATE INDEX scans_of_agent ON scans (agent_id, received_at, id);

CREATE TABLE assets (
    id TEXT NOT NULL PRIMARY KEY,
    site_name TEXT NOT NULL,
    network TEXT NOT NULL,
    ip TEXT NOT NULL,
    ip_key TEXT NOT NULL,
    -- the network's digest and the ip_key
    place_key TEXT NOT NULL,
    mac TEXT NOT NULL,
    -- the network's digest and the MAC, when it is known
    mac_key TEXT NOT NULL,
    -- the agent that runs on it
    runs TEXT NOT NULL,
    -- the network's digest and that agent, when there is one
    runs_key TEXT NOT NULL,
    hostname TEXT NOT NULL,
    vendor TEXT NOT NULL,
    -- what a search looks through, in small letters
    words TEXT NOT NULL,
    -- ports, services, class, evidence and the rest, as JSON
    facts TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    seen_by TEXT NOT NULL,
    is_gone BIGINT NOT NULL,
    misses BIGINT NOT NULL
);
CREATE INDEX assets_by_site ON assets (site_name, network, ip_key, id);
CREATE INDEX assets_by_place ON assets (place_key);
CREATE INDEX assets_by_mac ON assets (mac_key);
CREATE INDEX assets_by_agent ON assets (runs_key) WHERE runs_key <> '';
CREATE INDEX assets_by_ip ON assets (ip_key);
-- how many there are, of a site and in a subnet of it
CREATE INDEX assets_there ON assets (site_name, ip_key) WHERE is_gone = 0;
-- those that are forgotten some time
CREATE INDEX assets_gone ON assets (last_seen) WHERE is_gone = 1;

CREATE TABLE changes (
    id TEXT NOT NULL PRIMARY KEY,
    site_name TEXT NOT NULL,
    network TEXT NOT NULL,
    asset_id TEXT NOT NULL,
    ip TEXT NOT NULL,
    kind TEXT NOT NULL,
    value_before TEXT,
    value_after TEXT,
    scan_id TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX changes_by_time ON changes (at, id);
CREATE INDEX changes_by_site ON changes (site_name, at, id);
CREATE INDEX changes_by_asset ON changes (asset_id, at, id);

-- one for each place: the certificate that was shown there last
CREATE TABLE certificates (
    -- the network's digest, and the address as in findings
    place_key TEXT NOT NULL,
    site_name TEXT NOT NULL,
    network TEXT NOT NULL,
    ip TEXT NOT NULL,
    port BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    not_after BIGINT,
    facts TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (place_key, port)
);
CREATE INDEX certificates_by_end ON certificates (not_after);
CREATE INDEX certificates_by_site ON certificates (site_name);
CREATE INDEX certificates_by_age ON certificates (last_seen);

CREATE TABLE findings (
    id TEXT NOT NULL PRIMARY KEY,
    site_name TEXT NOT NULL,
    network TEXT NOT NULL,
    -- empty when it is nowhere in particular; then the target says more
    target_ip TEXT NOT NULL,
    -- the network's digest, and the ip_key; where there is none, `x` and target_ip
    place_key TEXT NOT NULL,
    -- 0: none
    port BIGINT NOT NULL,
    check_id TEXT NOT NULL,
    module TEXT NOT NULL,
    target TEXT NOT NULL,
    -- 0 (info) to 4 (critical)
    severity BIGINT NOT NULL,
    title TEXT NOT NULL,
    detail TEXT NOT NULL,
    remediation TEXT NOT NULL,
    extra TEXT NOT NULL,
    status TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    UNIQUE (place_key, port, check_id)
);
CREATE INDEX findings_by_weight ON findings (severity, id);
CREATE INDEX findings_by_site ON findings (site_name, severity, id);
-- whether there is any in a network
CREATE INDEX findings_by_network ON findings (site_name, network);
CREATE INDEX findings_open ON findings (site_name) WHERE status = 'open';
-- those that are forgotten some time
CREATE INDEX findings_ended ON findings ((CASE WHEN changed_at > last_seen THEN changed_at ELSE last_seen END))
    WHERE status <> 'open';
