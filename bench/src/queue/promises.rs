//! The rows of the promises on the task queue.

use anyhow::Result;

use super::extremes::LongQueue;
use super::figures::{Contender, Latency, Throughput};
use crate::table::Row;

/// A way to look at a run.
type Rate = fn(&Throughput) -> f64;

/// Throughput and latency on `venom` beside the peers that were measured, and on the embedded back end beside Redis.
pub(crate) fn beside_peers(
    venom: &Contender,
    embedded: &Contender,
    apalis: &Contender,
    peers: &[&Contender],
) -> Vec<Row> {
    let mut rows = Vec::new();
    let looks: [(&str, Rate); 2] = [
        ("tasks/s, Redis", Throughput::consume_rate),
        ("tasks/s from first enqueue, Redis", Throughput::total_rate),
    ];
    for (look, rate) in looks {
        let at_20_000 = |peer: &Contender| peer.at(20_000).map(|run| rate(&run));
        rows.push(compare(
            &format!("20,000 {look}"),
            venom,
            at_20_000,
            fastest(peers, at_20_000),
            2.0,
            ">= 2",
        ));
        let at_5_000 = |peer: &Contender| peer.at(5_000).map(|run| rate(&run));
        let floor = at_5_000(apalis).map(|rate| (apalis.name, rate));
        rows.push(compare(&format!("5,000 {look}"), venom, at_5_000, floor, 1.0, ">= 1"));
    }
    let bulk = |peer: &Contender| peer.at(20_000).map(|run| run.enqueue_rate());
    let floor = bulk(apalis).map(|rate| (apalis.name, rate));
    rows.push(compare("bulk enqueue/s, Redis", venom, bulk, floor, 1.0, ">= 1"));
    let rate = |contender: &Contender| contender.at(20_000).map(|run| run.consume_rate());
    let redis = rate(venom).map(|rate| (venom.name, rate));
    rows.push(compare("20,000 tasks/s, embedded", embedded, rate, redis, 1.0, ">= 1"));
    rows.extend(long_backlog(venom));
    rows.extend(latency(venom, peers));
    rows
}

/// The highest figure and whose it is; none unless every peer has one, since the missing one may be the fastest.
fn fastest(peers: &[&Contender], figure: impl Fn(&Contender) -> Option<f64>) -> Option<(&'static str, f64)> {
    let all: Option<Vec<_>> = peers.iter().map(|peer| Some((peer.name, figure(peer)?))).collect();
    all?.into_iter().max_by(|one, other| one.1.total_cmp(&other.1))
}

fn compare(
    what: &str,
    ours: &Contender,
    figure: impl Fn(&Contender) -> Option<f64>,
    floor: Option<(&'static str, f64)>,
    least: f64,
    promise: &'static str,
) -> Row {
    match (figure(ours), floor) {
        (Some(ours), Some((name, theirs))) => {
            let ratio = ours / theirs;
            Row::ratio(
                what,
                format!("{ours:.0}"),
                format!("{name} {theirs:.0}"),
                ratio,
                promise,
                ratio >= least,
            )
        }
        (Some(ours), None) => Row::absolute(what, format!("{ours:.0} (a peer is missing)"), promise, false),
        (None, _) => Row::absolute(what, String::from("not measured"), promise, false),
    }
}

/// The rate must not fall as the backlog grows.
fn long_backlog(venom: &Contender) -> Option<Row> {
    let (long, short) = (venom.at(100_000)?.consume_rate(), venom.at(20_000)?.consume_rate());
    let ratio = long / short;
    let (ours, floor) = (format!("{long:.0}"), format!("itself at 20,000: {short:.0}"));
    Some(Row::ratio(
        "100,000 tasks/s, Redis",
        ours,
        floor,
        ratio,
        ">= 0.9",
        ratio >= 0.9,
    ))
}

fn latency(venom: &Contender, peers: &[&Contender]) -> Vec<Row> {
    let Some(Latency { p50_ms, p99_ms }) = venom.latency else {
        return vec![Row::absolute(
            "submit -> result",
            String::from("not measured"),
            "<= 1",
            false,
        )];
    };
    let all: Option<Vec<_>> = peers
        .iter()
        .map(|peer| Some((peer.name, peer.latency?.p50_ms)))
        .collect();
    let p50 = match all.and_then(|all| all.into_iter().min_by(|one, other| one.1.total_cmp(&other.1))) {
        Some((name, theirs)) => {
            let (ratio, floor) = (p50_ms / theirs, format!("{name} {theirs:.2} ms"));
            Row::ratio(
                "submit -> result p50",
                format!("{p50_ms:.2} ms"),
                floor,
                ratio,
                "<= 1",
                ratio <= 1.0,
            )
        }
        None => Row::absolute(
            "submit -> result p50",
            format!("{p50_ms:.2} ms (a peer is missing)"),
            "<= 1",
            false,
        ),
    };
    let p99 = Row::absolute(
        "submit -> result p99",
        format!("{p99_ms:.2} ms"),
        "< 5 ms",
        p99_ms < 5.0,
    );
    vec![p50, p99]
}

/// 20 tasks of 0.5 s on 5 spores that run one at a time.
pub(crate) fn speedup(venom: &Contender) -> Row {
    let what = format!("speed-up of 5 spores, {}", venom.name);
    let Some(speedup) = venom.speedup else {
        return Row::absolute(&what, String::from("not measured"), ">= 4.9", false);
    };
    Row::absolute(&what, format!("{speedup:.2}"), ">= 4.9", speedup >= 4.9)
}

/// Cost with a long queue beside the cost with a short one.
pub(crate) fn long_queue(backend: &str, queue: &LongQueue) -> [Row; 3] {
    let cost = |what: &str, [short, long]: [f64; 2]| {
        let what = format!("{what} 1,000 with {} waiting, {backend}", queue.pending);
        let (ours, floor) = (format!("{long:.1} ms"), format!("none waiting {short:.1} ms"));
        Row::ratio(&what, ours, floor, long / short, "<= 1.5", long <= short * 1.5)
    };
    let grown = queue.grown_mib;
    [
        cost("enqueue", queue.enqueue_ms),
        cost("run", queue.claim_ms),
        Row::absolute(
            &format!("growth of the nexus by {} waiting, {backend}", queue.pending),
            format!("{grown:.0} MiB"),
            "< 256 MiB",
            grown < 256.0,
        ),
    ]
}

/// Seconds from the start of a spore to its first result.
pub(crate) fn cold_start(measured: Result<f64>) -> Row {
    let what = "start of a spore to its first task, code compiled before";
    match measured {
        Ok(took) => Row::absolute(what, format!("{took:.3} s"), "< 0.2 s", took < 0.2),
        Err(error) => Row::failed(what, &error),
    }
}

/// Seconds from the death of a spore to another having its task.
pub(crate) fn killed_spore(measured: Result<f64>) -> Row {
    let what = "killed spore to another having its task";
    match measured {
        Ok(took) => Row::absolute(what, format!("{took:.2} s"), "< 2 s", took < 2.0),
        Err(error) => Row::failed(what, &error),
    }
}
