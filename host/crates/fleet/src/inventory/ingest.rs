//! Batches of agents, taken in: one transaction each, and of one site one at a time.

use sqlx::{Any, Transaction};
use venom_protocol::Timestamp;
use venom_protocol::{ChangeKind, Discovery, DiscoveryIngested, NetworkFingerprint, ShieldIngested, ShieldReport};

use super::asset::Change;
use super::ids::Ids;
use super::merge::Look;
use super::range::Target;
use super::report::Report;
use super::store::assets;
use super::store::batches::Batch;
use super::store::scans::{self, Kind, Print, Scan};
use super::store::{Place, certificates, changes, findings};
use super::sweep::{self, Sweep};
use super::{certificate, clean, discovery, events, report};
use crate::agents::hold_to;
use crate::{AgentPass, Fleet, FleetError, Outcome};

/// Findings in one report, for each asset that may be in a batch.
const FINDINGS_PER_ASSET: usize = 8;
/// Findings of one site that are kept, for each asset that it may have.
const FINDINGS_PER_SITE: u64 = 10;
/// Certificates of one site that are kept, for each asset that it may have.
const CERTIFICATES_PER_SITE: u64 = 4;

impl Fleet {
    /// Takes in what a sweep saw. With a key it counts once, however often it comes.
    ///
    /// # Errors
    /// `Forbidden`: the agent is not approved; `Invalid`: too large; `Conflict`: another batch came with this key; `Full`: the site has no
    /// room for what is new in it. Nothing of it is taken in then.
    pub async fn ingest_discovery(
        &self,
        agent: &AgentPass,
        key: Option<&str>,
        batch: Discovery,
        now: Timestamp,
    ) -> Result<Outcome<DiscoveryIngested>, FleetError> {
        check(agent)?;
        fits("assets", batch.assets.len(), self.settings().max_assets_per_batch)?;
        let idempotent = Batch::of(&agent.agent_id, key, &batch)?;
        let mut writing = self.database().write_alone(&room(&agent.site_name)).await?;
        // it may have waited for long
        hold_to(&mut writing, agent, now).await?;
        if let Some(idempotent) = &idempotent
            && let Some(answer) = idempotent.answered::<DiscoveryIngested>(&mut writing).await?
        {
            return Ok(Outcome::quiet(DiscoveryIngested {
                duplicate: true,
                ..answer
            }));
        }
        let scan = scan_of(
            &mut writing,
            agent,
            Kind::Discovery,
            Came {
                target: &batch.target,
                method: clean::line(&batch.scan_method, clean::NAME),
                started_at: batch.started_at,
                completed_at: batch.completed_at,
                fingerprint: batch.network_fingerprint.as_ref(),
                items: batch.assets.len(),
            },
            now,
        )
        .await?;
        let sweep = Sweep {
            target: scan.target.clone(),
            look: Look {
                agent: agent.agent_id.clone(),
                at: now,
                is_complete: batch.completed_at.is_some(),
                ports_tried: batch
                    .ports_scanned
                    .as_ref()
                    .map(|ports| ports.iter().copied().collect()),
                misses_until_gone: self.settings().misses_until_gone,
            },
            is_late: scan.is_late,
            seen: discovery::each_once(&batch.assets),
        };
        let known = assets::about(&mut writing, &scan.place, &sweep).await?;
        let taken = take_in(&known, &sweep, now);
        for (from, into) in &taken.absorbed {
            assets::absorb(&mut writing, from, into).await?;
        }
        assets::write(&mut writing, &scan.place, &taken.touched).await?;
        if !taken.added.is_empty() {
            let most = self.settings().max_assets_per_site;
            assets::make_room(&mut writing, &scan.place.site, taken.added.len() as u64, most).await?;
            assets::write(&mut writing, &scan.place, &taken.added).await?;
        }
        let named = named(&taken.changes, now);
        changes::write(&mut writing, &scan.place, &scan.id, &named, now).await?;
        scans::write(&mut writing, &scan, batch.network_fingerprint.as_ref()).await?;
        if !sweep.is_late {
            scans::note_network(&mut writing, &scan).await?;
        }
        let answer = DiscoveryIngested {
            status: "ok".to_owned(),
            scan_id: scan.id.clone(),
            assets_ingested: batch.assets.len() as u64,
            duplicate: false,
        };
        if let Some(idempotent) = &idempotent {
            idempotent.remember(&mut writing, &answer, now).await?;
        }
        writing.commit().await?;
        self.notice_late(&scan);
        let mut events = vec![events::scan_ingested(&scan)];
        events.extend(events::of_changes(&scan, &named));
        Ok(Outcome { answer, events })
    }

    /// Takes in what a look at the security of a target found. With a key it counts once, however often it comes.
    ///
    /// # Errors
    /// As [`Fleet::ingest_discovery`].
    pub async fn ingest_shield(
        &self,
        agent: &AgentPass,
        key: Option<&str>,
        batch: ShieldReport,
        now: Timestamp,
    ) -> Result<Outcome<ShieldIngested>, FleetError> {
        check(agent)?;
        let most = self.settings().max_assets_per_batch.saturating_mul(FINDINGS_PER_ASSET);
        fits("findings", batch.findings.len(), most)?;
        fits("certificates", batch.certificates.len(), most)?;
        let idempotent = Batch::of(&agent.agent_id, key, &batch)?;
        let mut writing = self.database().write_alone(&room(&agent.site_name)).await?;
        // it may have waited for long
        hold_to(&mut writing, agent, now).await?;
        if let Some(idempotent) = &idempotent
            && let Some(answer) = idempotent.answered::<ShieldIngested>(&mut writing).await?
        {
            return Ok(Outcome::quiet(ShieldIngested {
                duplicate: true,
                ..answer
            }));
        }
        let scan = scan_of(
            &mut writing,
            agent,
            Kind::Shield,
            Came {
                target: &batch.target,
                method: clean::line(&clean::names(&batch.modules_run).join(","), clean::NAME),
                started_at: batch.started_at,
                completed_at: batch.completed_at,
                fingerprint: batch.network_fingerprint.as_ref(),
                items: batch.findings.len(),
            },
            now,
        )
        .await?;
        let report = Report::of(&batch, agent.agent_id.clone(), now, scan.is_late);
        let reported = self.take_findings(&mut writing, &scan, &report).await?;
        let shown = certificate::read(&batch.certificates, &scan.target, now);
        let changed = self.take_certificates(&mut writing, &scan, shown).await?;
        let named = named(&changed, now);
        changes::write(&mut writing, &scan.place, &scan.id, &named, now).await?;
        scans::write(&mut writing, &scan, batch.network_fingerprint.as_ref()).await?;
        let answer = ShieldIngested {
            status: "ok".to_owned(),
            scan_id: scan.id.clone(),
            agent_id: agent.agent_id.clone(),
            modules_received: batch.modules_run.len() as u64,
            findings_count: batch.findings.len() as u64,
            duplicate: false,
        };
        if let Some(idempotent) = &idempotent {
            idempotent.remember(&mut writing, &answer, now).await?;
        }
        writing.commit().await?;
        self.notice_late(&scan);
        let mut events = vec![events::scan_ingested(&scan)];
        events.extend(events::of_findings(&scan, &reported.findings, &reported.turns));
        events.extend(events::of_changes(&scan, &named));
        Ok(Outcome { answer, events })
    }

    /// Says once of each agent that what it sends comes too late: a clock that is behind would make all of it late, and nothing of
    /// it would be an error.
    fn notice_late(&self, scan: &Scan) {
        if scan.is_late && self.is_first_late(&scan.agent) {
            tracing::warn!(
                agent = %scan.agent, target = scan.target.text, began = %scan.started_at,
                "a scan is older than one that was taken in before: the agent's outbox was full, or its clock is behind"
            );
        }
    }

    async fn take_findings(
        &self,
        writing: &mut Transaction<'static, Any>,
        scan: &Scan,
        report: &Report,
    ) -> Result<report::Reported, FleetError> {
        let known = findings::about(writing, &scan.place, report).await?;
        let reported = {
            let ids = Ids::at(scan.received_at);
            report::take_in(known, report, || ids.next())
        };
        let most = self.settings().max_assets_per_site.saturating_mul(FINDINGS_PER_SITE);
        if reported.added > 0 && findings::count(writing, &scan.place.site).await? + reported.added > most {
            return Err(full(&scan.place.site, "findings", most));
        }
        findings::write(writing, &scan.place, &reported.findings).await?;
        Ok(reported)
    }

    async fn take_certificates(
        &self,
        writing: &mut Transaction<'static, Any>,
        scan: &Scan,
        seen: Vec<certificate::Certificate>,
    ) -> Result<Vec<Change>, FleetError> {
        let mut ips: Vec<String> = seen.iter().map(|seen| seen.place.0.clone()).collect();
        ips.sort();
        ips.dedup();
        let known = certificates::at(writing, &scan.place, &ips).await?;
        let shown = certificate::take_in(known, seen, scan.is_late);
        let most = self
            .settings()
            .max_assets_per_site
            .saturating_mul(CERTIFICATES_PER_SITE);
        if shown.added > 0 && certificates::count(writing, &scan.place.site).await? + shown.added > most {
            return Err(full(&scan.place.site, "certificates", most));
        }
        certificates::write(writing, &scan.place, &shown.certificates).await?;
        let ips: Vec<String> = shown.changed.iter().map(|((ip, _), ..)| ip.clone()).collect();
        let assets = assets::at(writing, &scan.place, &ips).await?;
        let changes = shown.changed.into_iter().filter_map(|((ip, port), before, after)| {
            // a change belongs to a thing; at a place nobody discovered there is none
            let (asset_id, _) = assets.iter().find(|(_, at)| *at == ip)?;
            Some(Change {
                asset_id: asset_id.clone(),
                ip: ip.parse().ok()?,
                kind: ChangeKind::CertificateChanged,
                before: Some(format!("{port}: {before}")),
                after: Some(format!("{port}: {after}")),
            })
        });
        Ok(changes.collect())
    }
}

/// What a batch says of its scan.
struct Came<'a> {
    target: &'a str,
    method: String,
    started_at: Timestamp,
    completed_at: Option<Timestamp>,
    fingerprint: Option<&'a NetworkFingerprint>,
    items: usize,
}

async fn scan_of(
    writing: &mut Transaction<'static, Any>,
    agent: &AgentPass,
    kind: Kind,
    came: Came<'_>,
    now: Timestamp,
) -> Result<Scan, FleetError> {
    let target = Target::parse(came.target);
    let (site, id) = (&agent.site_name, &agent.agent_id);
    let print = came.fingerprint.map(Print::read);
    let network = match print.and_then(Print::named) {
        Some((hash, print)) => scans::network_named(writing, site, id, hash, print).await?,
        None => scans::network_of(writing, kind, site, id, &target).await?,
    };
    let mut scan = Scan {
        id: Ids::at(now).next(),
        kind,
        place: Place::of(agent.site_name.clone(), network),
        agent: agent.agent_id.clone(),
        target,
        method: came.method,
        started_at: came.started_at.min(now),
        completed_at: came.completed_at,
        received_at: now,
        items: came.items,
        is_late: false,
    };
    scan.is_late = scans::is_late(writing, &scan).await?;
    Ok(scan)
}

/// Not in the async functions, as ids are made where nobody else looks.
fn take_in(known: &[super::asset::Asset], sweep: &Sweep, now: Timestamp) -> sweep::Taken {
    let ids = Ids::at(now);
    sweep::take_in(known, sweep, || ids.next())
}

/// Each change with an id: those of whole things first, as of very many only the first ones are kept.
fn named(all: &[Change], now: Timestamp) -> Vec<(String, &Change)> {
    let ids = Ids::at(now);
    let mut sorted: Vec<&Change> = all.iter().collect();
    if sorted.len() > changes::MOST {
        sorted.sort_by_key(|change| change.is_detail());
    }
    sorted.into_iter().map(|change| (ids.next(), change)).collect()
}

fn room(site: &str) -> String {
    format!("site:{site}")
}

fn check(agent: &AgentPass) -> Result<(), FleetError> {
    if agent.approved {
        return Ok(());
    }
    Err(FleetError::Forbidden(format!(
        "agent {} waits for an operator to approve it; until then nothing it sends is taken in",
        agent.agent_id
    )))
}

fn fits(what: &str, count: usize, most: usize) -> Result<(), FleetError> {
    if count <= most {
        return Ok(());
    }
    Err(FleetError::Invalid(format!(
        "`{what}` holds {count}, and a batch holds {most} at most; send it in parts"
    )))
}

fn full(site: &str, what: &str, most: u64) -> FleetError {
    FleetError::Full(format!(
        "site `{site}` has no room for more {what}: {most} at most, by max_assets_per_site"
    ))
}
