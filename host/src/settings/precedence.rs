//! For every setting: flag beats environment beats file beats default.

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

/// One setting: how it is written in each place, and what must come out (as `Debug` prints it) when the places
/// below it are filled too. An empty way of writing means that there is none.
struct Row {
    flag: (&'static [&'static str], &'static str),
    env: (&'static [(&'static str, &'static str)], &'static str),
    file: (&'static str, &'static str),
    default: &'static str,
}

/// Merges as the binary would and prints the field.
fn merged<T>(row: &Row, places: usize, merge: impl Fn(Command, &Sources) -> T, command: &str) -> T {
    let flags = if places >= 3 { row.flag.0 } else { &[] };
    let env = if places >= 2 { row.env.0 } else { &[] };
    let file = if places >= 1 { row.file.0 } else { "" };
    let words = ["venom-host"]
        .into_iter()
        .chain(command.split(' '))
        .chain(flags.iter().copied());
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
    let sources = Sources {
        env: Environment::of(env),
        file: File::parse(file, Path::new("/d/venom.toml")).unwrap_or_else(|error| panic!("{file}: {error}")),
        data_dir: PathBuf::from("/d"),
    };
    merge(cli.command, &sources)
}

/// How a field is read, and how it is written.
type Case<T> = (fn(&T) -> String, Row);

fn check<T>(rows: &[Case<T>], merge: impl Fn(Command, &Sources) -> T, command: &str) {
    for (read, row) in rows {
        let expected = [row.default, row.file.1, row.env.1, row.flag.1];
        let written = [
            true,
            !row.file.0.is_empty(),
            !row.env.0.is_empty(),
            !row.flag.0.is_empty(),
        ];
        for (places, expected) in expected.into_iter().enumerate().filter(|(place, _)| written[*place]) {
            let found = read(&merged(row, places, &merge, command));
            assert_eq!(
                found, expected,
                "{command} {:?} / {:?} / {:?}, {places} places filled",
                row.flag.0, row.env.0, row.file.0
            );
        }
    }
}

fn nexus_of(command: Command, sources: &Sources) -> NexusSettings {
    let Command::Nexus(args) = command else {
        panic!("not nexus")
    };
    NexusSettings::merge(*args, sources).unwrap()
}

fn spore_of(command: Command, sources: &Sources) -> SporeSettings {
    let Command::Spore(args) = command else {
        panic!("not spore")
    };
    SporeSettings::merge(*args, sources, "here".to_owned()).unwrap()
}

/// `field => flags -> value, variables -> value, file -> value, default`.
macro_rules! rows {
    ($($read:expr => [$($flag:literal),*] -> $f:literal, [$($name:ident = $value:literal),*] -> $e:literal, $file:literal -> $t:literal, $default:literal;)*) => {
        &[$(($read, Row {
            flag: (&[$($flag),*], $f),
            env: (&[$((env::$name, $value)),*], $e),
            file: ($file, $t),
            default: $default,
        })),*]
    };
}

#[test]
#[rustfmt::skip]
fn nexus() {
    check::<NexusSettings>(rows! {
        |s| s.bind.to_string() => ["--bind", "127.0.0.4"] -> "127.0.0.4", [NEXUS_BIND = "127.0.0.3"] -> "127.0.0.3", "[nexus]\nbind = \"127.0.0.2\"" -> "127.0.0.2", "127.0.0.1";
        |s| s.port.to_string() => ["--port", "4"] -> "4", [NEXUS_PORT = "3"] -> "3", "[nexus]\nport = 2" -> "2", "8000";
        |s| revealed(&s.token) => ["--token", "c"] -> "c", [NEXUS_SHARED_TOKEN = "b"] -> "b", "[nexus]\ntoken = \"a\"" -> "a", "-";
        |s| s.nodes.to_string() => ["--nodes", "on"] -> "true", [ENABLE_NEXUS = "false"] -> "false", "[nexus]\nnodes = true" -> "true", "true";
        |s| format!("{:?}", s.heartbeat_timeout) => ["--heartbeat-timeout", "4s"] -> "4s", [NEXUS_HEARTBEAT_TIMEOUT = "3"] -> "3s", "[nexus]\nheartbeat_timeout = 2" -> "2s", "60s";
        |s| format!("{:?}", s.drain_timeout) => ["--drain-timeout", "4s"] -> "4s", [NEXUS_DRAIN_TIMEOUT = "3"] -> "3s", "[nexus]\ndrain_timeout = \"2m\"" -> "120s", "10s";
        |s| format!("{:?}", s.read_timeout) => ["--read-timeout", "4s"] -> "4s", [NEXUS_READ_TIMEOUT = "3"] -> "3s", "[nexus]\nread_timeout = 2" -> "2s", "30s";
        |s| format!("{:?}", s.tls) => ["--tls-cert", "C", "--tls-key", "K"] -> r#"Some(TlsPair { cert: "C", key: "K" })"#, [NEXUS_TLS_CERT = "c", NEXUS_TLS_KEY = "k"] -> r#"Some(TlsPair { cert: "c", key: "k" })"#, "[nexus]\ntls_cert = \"/c\"\ntls_key = \"/k\"" -> r#"Some(TlsPair { cert: "/c", key: "/k" })"#, "None";
        |s| s.max_body.0.to_string() => ["--max-body", "4KiB"] -> "4096", [NEXUS_MAX_BODY = "3 KiB"] -> "3072", "[nexus]\nmax_body = \"2 KiB\"" -> "2048", "8388608";
        |s| s.max_connections.to_string() => ["--max-connections", "4"] -> "4", [NEXUS_MAX_CONNECTIONS = "3"] -> "3", "[nexus]\nmax_connections = 2" -> "2", "10000";
        |s| s.rate_limits.requests_per_second.to_string() => ["--rate-limit", "4"] -> "4", [NEXUS_RATE_LIMIT = "3"] -> "3", "[nexus]\nrate_limit = 2" -> "2", "50000";
        |s| s.rate_limits.auth_failures_per_minute.to_string() => ["--auth-failures", "4"] -> "4", [NEXUS_AUTH_FAILURES = "3"] -> "3", "[nexus]\nauth_failures = 2" -> "2", "60";
        |s| s.local_fallback.to_string() => ["--local-fallback", "on"] -> "true", [NEXUS_LOCAL_FALLBACK = "off"] -> "false", "[nexus]\nlocal_fallback = true" -> "true", "true";
        |s| s.audit_log.display().to_string() => ["--audit-log", "C"] -> "C", [NEXUS_AUDIT_LOG = "B"] -> "B", "[nexus]\naudit_log = \"A\"" -> "/d/A", "/d/audit.jsonl";
        |s| s.sandbox.skills.display().to_string() => ["--skills", "C"] -> "C", [NEXUS_SKILLS = "B"] -> "B", "[nexus]\nskills = \"A\"" -> "/d/A", "/d/skills";
        |s| format!("{:?}", s.sandbox.policy) => ["--policy", "C"] -> r#"File("C")"#, [NEXUS_POLICY = "B"] -> r#"File("B")"#, "[nexus]\npolicy = \"A\"" -> r#"File("/d/A")"#, r#"File("/d/policy.toml")"#;
        |s| s.sandbox.trust.display().to_string() => ["--trust", "C"] -> "C", [TRUST = "B"] -> "B", "trust = \"A\"" -> "/d/A", "/d/trust.toml";
        |s| s.weights.cpu.to_string() => [] -> "", [FOREMAN_CPU_WEIGHT = "3"] -> "3", "[nexus.load]\ncpu = 2.0" -> "2", "0.4";
        |s| s.weights.memory.to_string() => [] -> "", [FOREMAN_MEMORY_WEIGHT = "3"] -> "3", "[nexus.load]\nmemory = 2.0" -> "2", "0.3";
        |s| s.weights.tasks.to_string() => [] -> "", [FOREMAN_TASKS_WEIGHT = "3"] -> "3", "[nexus.load]\ntasks = 2.0" -> "2", "0.3";
        |s| s.weights.normalization.to_string() => [] -> "", [FOREMAN_MAX_TASKS_NORMALIZATION = "3"] -> "3", "[nexus.load]\nnormalization = 2.0" -> "2", "10";
        |s| s.weights.failures.to_string() => [] -> "", [FOREMAN_FAILURE_WEIGHT = "3"] -> "3", "[nexus.load]\nfailures = 2.0" -> "2", "0.2";
        |s| s.weights.latency.to_string() => [] -> "", [FOREMAN_LATENCY_WEIGHT = "3"] -> "3", "[nexus.load]\nlatency = 2.0" -> "2", "0.1";
        |s| s.dev.to_string() => ["--dev"] -> "true", [] -> "", "" -> "", "false";
        |s| s.releases.quota.0.to_string() => [] -> "", [RELEASE_QUOTA = "3 KiB"] -> "3072", "[releases]\nquota = \"2 KiB\"" -> "2048", "4294967296";
        |s| s.releases.max_downloads.to_string() => [] -> "", [RELEASE_MAX_DOWNLOADS = "3"] -> "3", "[releases]\nmax_downloads = 2" -> "2", "64";
        |s| mdns(&s.mdns) => ["--no-mdns"] -> "off", [MDNS = "on"] -> "on", "[mdns]\nenabled = false" -> "off", "on";
        |s| mdns(&s.mdns) => ["--mdns-interface", "c,!d", "--mdns-interface", "10.0.0.5"] -> "on c !d 10.0.0.5", [MDNS_INTERFACES = "b, !e"] -> "on b !e", "[mdns]\ninterfaces = [\"a\"]" -> "on a", "on";
        |s| format!("{:?}", s.releases.rollout_lifetime) => [] -> "", [ROLLOUT_LIFETIME = "3m"] -> "180s", "[releases]\nrollout_lifetime = 60" -> "60s", "600s";
        |s| revealed(&s.fleet.database) => ["--database-url", "sqlite:c"] -> "sqlite:c", [DATABASE_URL = "postgres://b"] -> "postgres://b", "[fleet]\ndatabase_url = \"sqlite:a\"" -> "sqlite:a", "sqlite:/d/fleet.db";
        |s| s.fleet.database.is_some().to_string() => ["--no-fleet"] -> "false", [ENABLE_FLEET = "on"] -> "true", "[fleet]\nenabled = false" -> "false", "true";
        |s| revealed(&s.fleet.registration_token) => [] -> "", [HIVE_REGISTRATION_TOKEN = "b"] -> "b", "[fleet]\nregistration_token = \"a\"" -> "a", "-";
        |s| revealed(&s.fleet.registration_secret) => [] -> "", [AGENT_REGISTRATION_SECRET = "b"] -> "b", "[fleet]\nregistration_secret = \"a\"" -> "a", "-";
        |s| s.fleet.registrations_per_minute.to_string() => [] -> "", [FLEET_REGISTRATIONS = "3"] -> "3", "[fleet]\nregistrations_per_minute = 2" -> "2", "60";
        |s| s.fleet.requests_per_minute.to_string() => [] -> "", [FLEET_REQUESTS = "3"] -> "3", "[fleet]\nrequests_per_minute = 2" -> "2", "600";
        |s| s.fleet.public_url.clone().unwrap_or_default() => ["--public-url", "https://c"] -> "https://c", [NEXUS_PUBLIC_URL = "https://b"] -> "https://b", "[fleet]\npublic_url = \"https://a\"" -> "https://a", "";
        |s| format!("{:?}", s.fleet.rules.stale_after) => [] -> "", [FLEET_STALE_AFTER = "3s"] -> "3s", "[fleet]\nstale_after = \"2s\"" -> "2s", "300s";
        |s| format!("{:?}", s.fleet.rules.offline_after) => [] -> "", [FLEET_OFFLINE_AFTER = "10m"] -> "600s", "[fleet]\noffline_after = \"20m\"" -> "1200s", "900s";
        |s| format!("{:?}", s.fleet.rules.rotation_overlap) => [] -> "", [FLEET_ROTATION_OVERLAP = "3s"] -> "3s", "[fleet]\nrotation_overlap = \"2s\"" -> "2s", "600s";
        |s| format!("{:?}", s.fleet.rules.command_lifetime) => [] -> "", [FLEET_COMMAND_LIFETIME = "3s"] -> "3s", "[fleet]\ncommand_lifetime = \"2s\"" -> "2s", "604800s";
        |s| format!("{:?}", s.fleet.rules.batch_memory) => [] -> "", [FLEET_BATCH_MEMORY = "3s"] -> "3s", "[fleet]\nbatch_memory = \"2s\"" -> "2s", "2592000s";
        |s| format!("{:?}", s.fleet.rules.history) => [] -> "", [FLEET_HISTORY = "3s"] -> "3s", "[fleet]\nhistory = \"2s\"" -> "2s", "34560000s";
        |s| s.fleet.rules.misses_until_gone.to_string() => [] -> "", [FLEET_MISSES_UNTIL_GONE = "4"] -> "4", "[fleet]\nmisses_until_gone = 2" -> "2", "3";
        |s| s.fleet.rules.max_agents.to_string() => [] -> "", [FLEET_MAX_AGENTS = "3"] -> "3", "[fleet]\nmax_agents = 2" -> "2", "100000";
        |s| s.fleet.rules.max_assets_per_site.to_string() => [] -> "", [FLEET_MAX_ASSETS = "3"] -> "3", "[fleet]\nmax_assets_per_site = 2" -> "2", "100000";
    }, nexus_of, "nexus");
}

fn mdns(settings: &MdnsSettings) -> String {
    let on = if settings.enabled { "on" } else { "off" };
    [on.to_owned()]
        .into_iter()
        .chain(settings.interfaces.selectors().iter().map(ToString::to_string))
        .collect::<Vec<_>>()
        .join(" ")
}

fn registry_of(command: Command, sources: &Sources) -> RegistrySettings {
    let Command::Bundle(crate::cli::BundleCommand::Pull(args)) = command else {
        panic!("not pull")
    };
    RegistrySettings::merge(args.registry, sources).unwrap()
}

#[test]
#[rustfmt::skip]
fn registries() {
    check::<RegistrySettings>(rows! {
        |s| s.username.clone().unwrap_or_default() => ["--username", "c"] -> "c", [REGISTRY_USERNAME = "b"] -> "b", "[registry]\nusername = \"a\"" -> "a", "";
        |s| revealed(&s.password) => [] -> "", [REGISTRY_PASSWORD = "b"] -> "b", "[registry]\npassword = \"a\"" -> "a", "-";
        |s| format!("{:?}", s.ca_file) => ["--registry-ca", "C"] -> r#"Some("C")"#, [REGISTRY_CA_FILE = "B"] -> r#"Some("B")"#, "[registry]\nca_file = \"A\"" -> r#"Some("/d/A")"#, "None";
        |s| s.plain_http.to_string() => ["--plain-http"] -> "true", [REGISTRY_PLAIN_HTTP = "off"] -> "false", "[registry]\nplain_http = true" -> "true", "false";
        |s| format!("{:?}", s.docker_config) => [] -> "", [DOCKER_CONFIG = "/b"] -> r#"Some("/b/config.json")"#, "" -> "", "None";
        |s| format!("{:?}", s.docker_config) => [] -> "", [HOME = "/h"] -> r#"Some("/h/.docker/config.json")"#, "" -> "", "None";
    }, registry_of, "bundle pull oci://a.example/b");
}

#[test]
#[rustfmt::skip]
fn hive() {
    check::<NexusSettings>(rows! {
        |s| kept(s) => ["--redis-url", "redis://c"] -> "redis://c", [REDIS_URL = "redis://b"] -> "redis://b", "[redis]\nurl = \"redis://a\"" -> "redis://a", "/d/hive.db Process";
        |s| kept(s) => ["--no-hive"] -> "nowhere", [ENABLE_HIVE = "false"] -> "nowhere", "[hive]\nenabled = false" -> "nowhere", "/d/hive.db Process";
        |s| kept(s) => [] -> "", [ENABLE_HIVE = "true"] -> "/d/hive.db Process", "[hive]\nenabled = false" -> "nowhere", "/d/hive.db Process";
        |s| kept(s) => ["--redis-url", "redis://c"] -> "redis://c", [ENABLE_HIVE = "true", REDIS_HOST = "b", REDIS_PORT = "7", REDIS_DB = "1"] -> "redis://b:7/1", "[redis]\nurl = \"redis://a\"" -> "redis://a", "/d/hive.db Process";
        |s| kept(s) => ["--hive-durability", "power"] -> "/d/hive.db Power", [HIVE_DURABILITY = "process"] -> "/d/hive.db Process", "[hive]\ndurability = \"power\"" -> "/d/hive.db Power", "/d/hive.db Process";
        |s| s.hive.broker.max_waiting.to_string() => [] -> "", [HIVE_MAX_QUEUED = "3"] -> "3", "[hive]\nmax_queued = 2" -> "2", "2000000";
        |s| format!("{:?}", s.hive.broker.result_ttl) => [] -> "", [HIVE_RESULT_TTL = "3h"] -> "10800s", "[hive]\nresult_ttl = 2" -> "2s", "86400s";
        |s| format!("{:?}", s.hive.broker.session_ttl) => [] -> "", [HIVE_SESSION_TTL = "3"] -> "3s", "[hive]\nsession_ttl = 2" -> "2s", "5s";
        |s| s.hive.broker.namespace.clone() => [] -> "", [HIVE_NAMESPACE = "b"] -> "b", "[hive]\nnamespace = \"a\"" -> "a", "venom";
        |s| s.hive.broker.high_queue.clone() => [] -> "", [HIVE_HIGH_PRIORITY_QUEUE = "b"] -> "b", "[hive]\nhigh_priority_queue = \"a\"" -> "a", "venom:tasks:high";
        |s| s.hive.broker.background_queue.clone() => [] -> "", [HIVE_BACKGROUND_QUEUE = "b"] -> "b", "[hive]\nbackground_queue = \"a\"" -> "a", "venom:tasks:background";
        |s| s.hive.broker.broadcast_channel.clone() => [] -> "", [HIVE_BROADCAST_CHANNEL = "b"] -> "b", "[hive]\nbroadcast_channel = \"a\"" -> "a", "venom:broadcast";
        |s| format!("{:?}", s.hive.tasks.task_timeout) => [] -> "", [HIVE_TASK_TIMEOUT = "3"] -> "3s", "[hive]\ntask_timeout = 2" -> "2s", "300s";
        |s| s.hive.tasks.max_retries.to_string() => [] -> "", [HIVE_MAX_RETRIES = "0"] -> "0", "[hive]\nmax_retries = 2" -> "2", "3";
        |s| format!("{:?}", s.hive.tasks.zombie_task_timeout) => [] -> "", [HIVE_ZOMBIE_TASK_TIMEOUT = "400"] -> "400s", "[hive]\nzombie_task_timeout = \"30m\"" -> "1800s", "600s";
        |s| format!("{:?}", s.hive.tasks.lease_ttl) => [] -> "", [HIVE_LEASE_TTL = "3"] -> "3s", "[hive]\nlease_ttl = 2" -> "2s", "4s";
        |s| s.hive.tasks.poison_losses.to_string() => [] -> "", [HIVE_POISON_LOSSES = "3"] -> "3", "[hive]\npoison_losses = 2" -> "2", "5";
        |s| s.hive.tasks.low_share.to_string() => [] -> "", [HIVE_LOW_SHARE = "0"] -> "0", "[hive]\nlow_share = 0.5" -> "0.5", "0.1";
    }, nexus_of, "nexus");
}

#[test]
#[rustfmt::skip]
fn agent() {
    let merge = |_: Command, sources: &Sources| AgentSettings::merge(sources).unwrap();
    check::<AgentSettings>(rows! {
        |s| s.log_file.display().to_string() => [] -> "", [AGENT_LOG_FILE = "/b"] -> "/b", "[agent]\nlog_file = \"a\"" -> "/d/a", "/d/agent.log";
        |s| s.log_max_size.0.to_string() => [] -> "", [AGENT_LOG_MAX_SIZE = "9 KiB"] -> "9216", "[agent]\nlog_max_size = \"8 KiB\"" -> "8192", "10485760";
        |s| s.log_keep.to_string() => [] -> "", [AGENT_LOG_KEEP = "0"] -> "0", "[agent]\nlog_keep = 2" -> "2", "5";
    }, merge, "agent start");
}

fn shown_to(uplink: &Option<UplinkSettings>) -> String {
    let Some(uplink) = uplink else { return "-".to_owned() };
    format!("{} {} {:?}", uplink.url, revealed(&uplink.token), uplink.ca_file)
}

/// The same for both that show themselves.
macro_rules! uplink_rows {
    () => { rows! {
        |s| shown_to(&s.uplink) => ["--hive-url", "http://c/", "--hive-token", "C"] -> "http://c C None", [HIVE_URL = "https://b", HIVE_REGISTRATION_TOKEN = "B"] -> "https://b B None", "[hive]\nurl = \"http://a\"\ntoken = \"A\"" -> "http://a A None", "-";
        |s| shown_to(&s.uplink) => [] -> "", [HIVE_URL = "https://b", HIVE_CA_FILE = "/b"] -> "https://b - Some(\"/b\")", "[hive]\nurl = \"http://a\"\nca_file = \"a\"" -> "http://a - Some(\"/d/a\")", "-";
    } };
}

#[test]
fn uplink() {
    check::<NexusSettings>(uplink_rows!(), nexus_of, "nexus");
    check::<SporeSettings>(uplink_rows!(), spore_of, "spore");
}

fn kept(settings: &NexusSettings) -> String {
    match &settings.hive.kept {
        Kept::Nowhere => "nowhere".to_owned(),
        Kept::File { path, durability } => format!("{} {durability:?}", path.display()),
        Kept::Redis(redis) => redis.url.clone(),
    }
}

#[test]
#[rustfmt::skip]
fn spore() {
    check::<SporeSettings>(rows! {
        |s| s.nexus.clone() => ["--nexus", "http://c"] -> "http://c", [SPORE_NEXUS_URL = "http://b"] -> "http://b", "[spore]\nnexus = \"http://a\"" -> "http://a", "http://127.0.0.1:8000";
        |s| s.nexus.clone() => ["--nexus", "http://c"] -> "http://c", [SPORE_NEXUS_HOST = "b", SPORE_NEXUS_PORT = "9"] -> "http://b:9", "[spore]\nnexus = \"http://a\"" -> "http://a", "http://127.0.0.1:8000";
        |s| s.nexus.clone() => [] -> "", [SPORE_NEXUS_HOST = "b"] -> "http://b:8000", "" -> "", "http://127.0.0.1:8000";
        |s| s.nexus.clone() => [] -> "", [SPORE_NEXUS_PORT = "9"] -> "http://127.0.0.1:9", "" -> "", "http://127.0.0.1:8000";
        |s| s.nexus_is_named.to_string() => ["--nexus", "http://c"] -> "true", [SPORE_NEXUS_PORT = "9"] -> "true", "[spore]\nnexus = \"http://a\"" -> "true", "false";
        |s| s.trust_lan.to_string() => ["--trust-lan"] -> "true", [SPORE_TRUST_LAN = "off"] -> "false", "[spore]\ntrust_lan = true" -> "true", "false";
        |s| mdns(&s.mdns) => ["--no-mdns"] -> "off", [MDNS = "on"] -> "on", "[mdns]\nenabled = false" -> "off", "on";
        |s| mdns(&s.mdns) => ["--mdns-interface", "c"] -> "on c", [MDNS_INTERFACES = "b"] -> "on b", "[mdns]\ninterfaces = [\"!a\"]" -> "on !a", "on";
        |s| revealed(&s.token) => ["--token", "c"] -> "c", [SPORE_SHARED_TOKEN = "b"] -> "b", "[spore]\ntoken = \"a\"" -> "a", "-";
        |s| s.name.clone() => ["--name", "c"] -> "c", [SPORE_NODE_NAME = "b"] -> "b", "[spore]\nname = \"a\"" -> "a", "here";
        |s| s.tags.join("|") => ["--tag", "c", "--tag", "d"] -> "c|d", [SPORE_NODE_TAGS = "b, gpu,"] -> "b|gpu", "[spore]\ntags = [\"a\"]" -> "a", "";
        |s| s.concurrency.to_string() => ["--concurrency", "4"] -> "4", [SPORE_CONCURRENCY = "3"] -> "3", "[spore]\nconcurrency = 2" -> "2", "256";
        |s| s.queue.to_string() => ["--queue", "4"] -> "4", [SPORE_QUEUE = "3"] -> "3", "[spore]\nqueue = 2" -> "2", "1024";
        |s| format!("{:?}", s.heartbeat_interval) => ["--heartbeat-interval", "4s"] -> "4s", [SPORE_HEARTBEAT_INTERVAL = "3"] -> "3s", "[spore]\nheartbeat_interval = 2" -> "2s", "30s";
        |s| format!("{:?}", s.drain_timeout) => ["--drain-timeout", "4s"] -> "4s", [SPORE_DRAIN_TIMEOUT = "3"] -> "3s", "[spore]\ndrain_timeout = 2" -> "2s", "30s";
        |s| format!("{:?}", s.ca_file) => ["--ca-file", "C"] -> r#"Some("C")"#, [SPORE_CA_FILE = "B"] -> r#"Some("B")"#, "[spore]\nca_file = \"A\"" -> r#"Some("/d/A")"#, "None";
        |s| s.sandbox.skills.display().to_string() => ["--skills", "C"] -> "C", [SPORE_SKILLS = "B"] -> "B", "[spore]\nskills = \"A\"" -> "/d/A", "/d/skills";
        |s| format!("{:?}", s.sandbox.policy) => ["--policy", "C"] -> r#"File("C")"#, [SPORE_POLICY = "B"] -> r#"File("B")"#, "[spore]\npolicy = \"A\"" -> r#"File("/d/A")"#, r#"File("/d/policy.toml")"#;
        |s| format!("{:?}", s.sandbox.policy) => ["--dev"] -> r#"Development"#, [] -> "", "[spore]\npolicy = \"A\"" -> r#"File("/d/A")"#, r#"File("/d/policy.toml")"#;
        |s| s.sandbox.trust.display().to_string() => ["--trust", "C"] -> "C", [TRUST = "B"] -> "B", "trust = \"A\"" -> "/d/A", "/d/trust.toml";
        |s| s.sandbox.max_memory.0.to_string() => [] -> "", [RUNTIME_MAX_MEMORY = "3KiB"] -> "3072", "[runtime]\nmax_memory = \"2 KiB\"" -> "2048", "1073741824";
        |s| format!("{:?}", s.sandbox.dirty_page_scan) => [] -> "", [RUNTIME_DIRTY_PAGE_SCAN = "on"] -> "On", "[runtime]\ndirty_page_scan = \"auto\"" -> "Auto", "Off";
        |s| s.redis.as_ref().map_or("-", |redis| &redis.url).to_owned() => ["--redis-url", "redis://c"] -> "redis://c", [REDIS_URL = "redis://b"] -> "redis://b", "[redis]\nurl = \"redis://a\"" -> "redis://a", "-";
        |s| s.redis.as_ref().map_or("-", |redis| &redis.url).to_owned() => ["--redis-url", "redis://c"] -> "redis://c", [ENABLE_HIVE = "false", REDIS_URL = "redis://b"] -> "-", "[redis]\nurl = \"redis://a\"" -> "redis://a", "-";
        |s| s.broadcast_channel.clone() => [] -> "", [HIVE_BROADCAST_CHANNEL = "b"] -> "b", "[hive]\nbroadcast_channel = \"a\"" -> "a", "venom:broadcast";
        |s| s.switched_off.join("|") => [] -> "", [SPORE_ENABLE_SHELL = "true"] -> "", "[spore]\nshell = false" -> "ShellSkill", "";
        |s| s.updates.enabled.to_string() => ["--no-updates"] -> "false", [UPDATES = "on"] -> "true", "[updates]\nenabled = false" -> "false", "true";
        |s| s.updates.channel.to_string() => ["--channel", "c"] -> "c", [CHANNEL = "b"] -> "b", "[updates]\nchannel = \"a\"" -> "a", "stable";
        |s| s.updates.root.display().to_string() => ["--root", "C"] -> "C", [ROOT = "B"] -> "B", "[updates]\nroot = \"A\"" -> "/d/A", "/d/root.json";
        |s| format!("{:?}", s.updates.poll) => ["--update-poll", "4s"] -> "4s", [UPDATE_POLL = "3"] -> "3s", "[updates]\npoll = 2" -> "2s", "300s";
        |s| format!("{:?}", s.updates.soak) => ["--update-soak", "0"] -> "0ns", [UPDATE_SOAK = "3"] -> "3s", "[updates]\nsoak = 0" -> "0ns", "30s";
        |s| format!("{:?}", s.updates.drain) => [] -> "", [UPDATE_DRAIN = "3"] -> "3s", "[updates]\ndrain = 2" -> "2s", "30s";
        |s| format!("{:?}", s.updates.min_interval) => [] -> "", [UPDATE_MIN_INTERVAL = "1h"] -> "3600s", "[updates]\nmin_interval = 2" -> "2s", "0ns";
        |s| windows(s) => [] -> "", [UPDATE_WINDOW = "22:00-04:00, 12:00-13:00"] -> "22:00-04:00 UTC 12:00-13:00 UTC", "[updates]\nwindow = [\"00:00-24:00\"]" -> "00:00-24:00 UTC", "";
        |s| s.updates.allowed_hosts.join("|") => [] -> "", [UPDATE_ALLOWED_HOSTS = "b.example, *.c.example"] -> "b.example|*.c.example", "[updates]\nallowed_hosts = [\"a.example\"]" -> "a.example", "";
        |s| s.updates.keep.to_string() => [] -> "", [UPDATE_KEEP = "3"] -> "3", "[updates]\nkeep = 2" -> "2", "5";
        |s| s.updates.max_traps.to_string() => [] -> "", [UPDATE_MAX_TRAPS = "3"] -> "3", "[updates]\nmax_traps = 2" -> "2", "0";
        |s| s.updates.max_error_rate.to_string() => [] -> "", [UPDATE_MAX_ERROR_RATE = "0.3"] -> "0.3", "[updates]\nmax_error_rate = 1.0" -> "1", "0.5";
        |s| s.updates.min_calls.to_string() => [] -> "", [UPDATE_MIN_CALLS = "3"] -> "3", "[updates]\nmin_calls = 2" -> "2", "20";
        |s| s.updates.release_grants.to_string() => [] -> "", [UPDATE_RELEASE_GRANTS = "off"] -> "false", "[updates]\nrelease_grants = true" -> "true", "false";
        |s| s.switched_off.join("|") => [] -> "", [SPORE_ENABLE_FILE = "0"] -> "FileSkill", "[spore]\nfile = true" -> "", "";
    }, spore_of, "spore");
}

#[test]
#[rustfmt::skip]
fn client() {
    let merge = |command, sources: &Sources| {
        let Command::Exec(args) = command else { panic!("not exec") };
        ClientSettings::merge(args.nexus, sources).unwrap()
    };
    check::<ClientSettings>(rows! {
        |s| s.nexus.clone() => ["--nexus", "http://c/"] -> "http://c", [CLIENT_NEXUS = "http://b"] -> "http://b", "[client]\nnexus = \"http://a\"" -> "http://a", "http://127.0.0.1:8000";
        |s| revealed(&s.token) => ["--token", "c"] -> "c", [CLIENT_TOKEN = "b"] -> "b", "[client]\ntoken = \"a\"" -> "a", "-";
        |s| format!("{:?}", s.ca_file) => ["--ca-file", "C"] -> r#"Some("C")"#, [CLIENT_CA_FILE = "B"] -> r#"Some("B")"#, "[client]\nca_file = \"A\"" -> r#"Some("/d/A")"#, "None";
    }, merge, "exec S.m");
}

#[test]
fn log() {
    let of = |args: &[&str], pairs: &[(&str, &str)], file: &str| {
        let words = ["venom-host"].iter().chain(args).chain(&["init"]);
        let cli = Cli::try_parse_from(words).unwrap();
        let sources = Sources {
            env: Environment::of(pairs),
            file: File::parse(file, Path::new("/d/venom.toml")).unwrap(),
            data_dir: PathBuf::from("/d"),
        };
        let settings = LogSettings::merge(&cli.global, &sources).unwrap();
        format!("{} {:?}", settings.filter.unwrap_or_default(), settings.format)
    };
    let file = "[log]\nfilter = \"a\"\nformat = \"json\"";
    let env = [("VENOM_LOG_FORMAT", "text"), ("RUST_LOG", "b")];
    let both = [("VENOM_LOG_FORMAT", "text"), ("RUST_LOG", "b"), ("VENOM_LOG", "c")];
    assert_eq!(of(&[], &[], ""), " Text");
    assert_eq!(of(&[], &[], file), "a Json");
    assert_eq!(of(&[], &env, file), "b Text");
    assert_eq!(of(&[], &both, file), "c Text");
    assert_eq!(of(&["--log", "d", "--log-format", "json"], &both, file), "d Json");
}

#[test]
fn impossible_values_are_refused_with_what_to_do() {
    let refused = |command: &str, flags: &[&str], pairs: &[(&str, &str)], file: &str| {
        let words = ["venom-host", command].into_iter().chain(flags.iter().copied());
        let cli = Cli::try_parse_from(words).unwrap();
        let file = File::parse(file, Path::new("/d/venom.toml")).unwrap();
        let sources = Sources {
            env: Environment::of(pairs),
            file,
            data_dir: "/d".into(),
        };
        match cli.command {
            Command::Nexus(args) => NexusSettings::merge(*args, &sources).unwrap_err().to_string(),
            Command::Spore(args) => SporeSettings::merge(*args, &sources, "h".into())
                .unwrap_err()
                .to_string(),
            other => panic!("{other:?}"),
        }
    };
    for (text, found) in [
        ("loopback", refused("nexus", &["--dev", "--bind", "0.0.0.0"], &[], "")),
        (
            "loopback",
            refused("nexus", &["--dev"], &[("NEXUS_BIND", "10.1.1.1")], ""),
        ),
        (
            "loopback",
            refused("spore", &["--dev", "--nexus", "http://example.com"], &[], ""),
        ),
        ("--tls-key", refused("nexus", &["--tls-cert", "c"], &[], "")),
        ("--tls-cert", refused("nexus", &[], &[("NEXUS_TLS_KEY", "k")], "")),
        ("concurrency", refused("spore", &["--concurrency", "0"], &[], "")),
        (
            "FOREMAN_CPU_WEIGHT",
            refused("nexus", &[], &[("FOREMAN_CPU_WEIGHT", "-1")], ""),
        ),
        (
            "divides",
            refused("nexus", &[], &[], "[nexus.load]\nnormalization = 0.0"),
        ),
        ("NEXUS_PORT", refused("nexus", &[], &[("NEXUS_PORT", "http")], "")),
        ("zombie", refused("nexus", &[], &[("HIVE_TASK_TIMEOUT", "601")], "")),
        (
            "HIVE_SESSION_TTL",
            refused("nexus", &[], &[("HIVE_SESSION_TTL", "100ms")], ""),
        ),
        ("HIVE_LEASE_TTL", refused("nexus", &[], &[], "[hive]\nlease_ttl = 0.5")),
        (
            "HIVE_MAX_QUEUED",
            refused("nexus", &[], &[("HIVE_MAX_QUEUED", "0")], ""),
        ),
        (
            "HIVE_POISON_LOSSES",
            refused("nexus", &[], &[("HIVE_POISON_LOSSES", "0")], ""),
        ),
        (
            "HIVE_LOW_SHARE",
            refused("nexus", &[], &[("HIVE_LOW_SHARE", "1.5")], ""),
        ),
        (
            "HIVE_NAMESPACE",
            refused("nexus", &[], &[("HIVE_NAMESPACE", "a{b}")], ""),
        ),
        (
            "both queues",
            refused(
                "nexus",
                &[],
                &[("HIVE_HIGH_PRIORITY_QUEUE", "venom:tasks:background")],
                "",
            ),
        ),
        (
            "VENOM_UPDATE_KEEP",
            refused("spore", &[], &[("VENOM_UPDATE_KEEP", "1")], ""),
        ),
        (
            "VENOM_UPDATE_MAX_ERROR_RATE",
            refused("spore", &[], &[], "[updates]\nmax_error_rate = 1.5"),
        ),
        (
            "VENOM_UPDATE_WINDOW",
            refused("spore", &[], &[("VENOM_UPDATE_WINDOW", "2-5")], ""),
        ),
        (
            "VENOM_UPDATE_ALLOWED_HOSTS",
            refused("spore", &[], &[("VENOM_UPDATE_ALLOWED_HOSTS", "https://a")], ""),
        ),
        (
            "NEXUS_RELEASE_MAX_DOWNLOADS",
            refused("nexus", &[], &[("NEXUS_RELEASE_MAX_DOWNLOADS", "0")], ""),
        ),
        (
            "NEXUS_ROLLOUT_LIFETIME",
            refused("nexus", &[], &[], "[releases]\nrollout_lifetime = 1"),
        ),
        (
            "neither process",
            refused("nexus", &[], &[("HIVE_DURABILITY", "always")], ""),
        ),
        ("HIVE_URL", refused("spore", &[], &[("HIVE_URL", "hive:8000")], "")),
        ("ENABLE_HIVE", refused("nexus", &[], &[("ENABLE_HIVE", "perhaps")], "")),
    ] {
        assert!(found.contains(text), "{text}: {found}");
    }
}

fn windows(settings: &SporeSettings) -> String {
    let windows = settings.updates.window.iter();
    let words: Vec<String> = windows.map(ToString::to_string).collect();
    words.join(" ")
}

fn revealed(secret: &Option<Secret>) -> String {
    secret.as_ref().map_or("-", Secret::reveal).to_owned()
}
