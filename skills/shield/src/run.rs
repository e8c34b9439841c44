//! All targets of a call: first every port over sockets, many at one time, then one by one what only the host can ask
//! (handshakes of today, HTTPS), then the reports. When time runs out, what did not end is not claimed.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use venom_sdk::{Error, Refusal, Result, progress};

use crate::check::{Look, Verdict};
use crate::line::{Pace, Stop, Trouble, gather};
use crate::params::{PORTS, Request};
use crate::port::{self, Module, Seen};
use crate::report::{Certificate, Moment, Report};
use crate::visit::Visit;
use crate::{http, tls};

/// Time kept for putting the answer together.
const RESERVE: Duration = Duration::from_secs(2);
/// Largest answer: less than a call may give by default.
const ANSWER: usize = 3 * 1024 * 1024;
/// Most bytes of certificates that are kept of a target: a host may have one at every port, each as large as can be.
const CERTIFICATES: usize = 256 * 1024;

/// Looks at all targets.
pub(crate) fn check(request: &Request) -> Result<Vec<Report>> {
    let remaining = progress::task().remaining;
    let until = Instant::now() + remaining.saturating_sub(RESERVE.min(remaining / 10));
    let run = Run {
        request,
        until,
        pace: Pace::per_second(request.rate),
        ended_at: RefCell::new(vec![None; request.targets.len()]),
        began_at: RefCell::new(vec![None; request.targets.len()]),
    };
    run.reports()
}

struct Run<'a> {
    request: &'a Request,
    until: Instant,
    pace: Pace,
    /// When targets were begun and last heard of.
    began_at: RefCell<Vec<Option<Moment>>>,
    ended_at: RefCell<Vec<Option<Moment>>>,
}

/// One port of a target.
#[derive(Debug, Clone, Copy)]
struct Job {
    target: usize,
    place: SocketAddr,
}

/// How far a port has come. What servers said is judged at once and not kept: it may be much.
enum Stage {
    Judged(Judged),
    /// The host has questions to ask.
    Host(Box<Seen>),
}

/// What came of a port.
struct Judged {
    verdicts: Vec<(Module, Verdict)>,
    notes: Vec<String>,
    certificates: Vec<Certificate>,
}

impl<'a> Run<'a> {
    fn reports(&self) -> Result<Vec<Report>> {
        let jobs = self.jobs();
        let stages = self.over_sockets(&jobs)?;
        let mut judged = Vec::with_capacity(jobs.len());
        let mut room = Room::of(self.request.targets.len());
        for (job, stage) in jobs.iter().zip(stages) {
            judged.push(match stage {
                None => None,
                Some(Stage::Judged(judged)) => Some(judged),
                Some(Stage::Host(seen)) => self.over_host(job, *seen)?.map(|mut judged| {
                    room.keep(job, &mut judged);
                    judged
                }),
            });
        }
        Ok(self.write(&jobs, judged))
    }

    /// First the first port of every target, then the second: no host is asked everything at once.
    fn jobs(&self) -> Vec<Job> {
        let targets = self.request.targets.iter().enumerate();
        let mut jobs: Vec<(usize, Job)> = targets
            .flat_map(|(target, it)| {
                it.places()
                    .enumerate()
                    .map(move |(nth, place)| (nth, Job { target, place }))
            })
            .collect();
        jobs.sort_by_key(|(nth, job)| (*nth, job.target));
        jobs.into_iter().map(|(_, job)| job).collect()
    }

    fn visit(&'a self, job: &Job) -> Visit<'a> {
        Visit {
            place: job.place,
            hostname: self
                .request
                .targets
                .get(job.target)
                .and_then(|target| target.hostname.as_deref()),
            pace: &self.pace,
            timeout: self.request.timeout,
        }
    }

    /// None: it was cut off.
    fn over_sockets(&self, jobs: &[Job]) -> Result<Vec<Option<Stage>>> {
        let denied = Cell::new(None);
        let cancelled = Cell::new(false);
        let (done, total) = (Cell::new(0), u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        let all = jobs.iter().map(|job| {
            let (denied, done) = (&denied, &done);
            async move {
                self.note(&self.began_at, job, |old, now| old.or(Some(now)));
                let seen = port::look(&self.visit(job), &self.request.modules).await;
                self.note(&self.ended_at, job, |_, now| Some(now));
                done.set(done.get() + 1);
                progress::report(done.get(), total, "");
                match seen {
                    Ok(seen) if seen.speaks_tls => Some(Stage::Host(Box::new(seen))),
                    Ok(seen) => Some(Stage::Judged(self.judge(job, &seen))),
                    Err(Trouble::Denied(place)) => {
                        denied.set(Some(place));
                        None
                    }
                    Err(_) => None,
                }
            }
        });
        let stop = || {
            cancelled.set(progress::cancelled());
            let over = cancelled.get() || denied.get().is_some() || Instant::now() >= self.until;
            over.then_some(Stop)
        };
        let seen = gather(all, self.request.concurrency, stop);
        match denied.get() {
            _ if cancelled.get() => Err(Error::Cancelled),
            Some(place) => Err(refused(place)),
            None => Ok(seen.into_iter().map(Option::flatten).collect()),
        }
    }

    fn note(
        &self,
        times: &RefCell<Vec<Option<Moment>>>,
        job: &Job,
        set: impl Fn(Option<Moment>, Moment) -> Option<Moment>,
    ) {
        if let Some(time) = times.borrow_mut().get_mut(job.target) {
            *time = set(*time, Moment::now());
        }
    }

    /// None: it was cut off.
    fn over_host(&self, job: &Job, mut seen: Seen) -> Result<Option<Judged>> {
        let visit = self.visit(job);
        if let Look::Seen(facts) = &mut seen.tls {
            let Some(time) = self.turn()? else { return Ok(None) };
            match tls::gather::peek(job.place, visit.hostname, time)? {
                Ok(session) => facts.session = Some(session),
                Err(why) => seen.trouble = Some(format!("no handshake of TLS 1.2 or 1.3: {why}")),
            }
        }
        let wanted = [Module::Http, Module::Versions];
        if wanted.iter().any(|module| self.request.modules.contains(module)) {
            let Some(time) = self.turn()? else { return Ok(None) };
            seen.http = http::look_securely(job.place, visit.hostname, time)?;
        }
        self.note(&self.ended_at, job, |_, now| Some(now));
        Ok(Some(self.judge(job, &seen)))
    }

    /// Waits for the turn of a connection that the host makes, which nobody can break off. The answer is the time it may
    /// take; none when it is over.
    fn turn(&self) -> Result<Option<Duration>> {
        let stop = || (progress::cancelled() || Instant::now() >= self.until).then_some(Stop);
        let waited = gather([self.pace.turn()], 1, stop);
        progress::check()?;
        let left = self.until.saturating_duration_since(Instant::now());
        let is_time = waited.iter().any(Option::is_some) && !left.is_zero();
        Ok(is_time.then(|| left.min(self.request.timeout)))
    }

    fn judge(&self, job: &Job, seen: &Seen) -> Judged {
        let (visit, now) = (self.visit(job), Moment::now());
        let modules = &self.request.modules;
        let verdicts = modules
            .iter()
            .filter_map(|module| Some((*module, seen.judge(*module, &visit, now)?)));
        let notes = seen.reasons(job.place.port(), modules).into_iter();
        let session = seen.tls.seen().and_then(|facts| facts.session.as_ref());
        let chain = session.into_iter().flat_map(|session| session.chain.iter().enumerate());
        let read = chain.filter_map(|(position, it)| Some((position, it.as_ref().ok()?)));
        Judged {
            verdicts: verdicts.collect(),
            notes: notes
                .map(|(module, reason)| format!("{} {}: {reason}", job.place, module.name()))
                .collect(),
            certificates: read
                .map(|(position, facts)| certificate(job.place, position, facts))
                .collect(),
        }
    }

    fn write(&self, jobs: &[Job], judged: Vec<Option<Judged>>) -> Vec<Report> {
        let mut by_target: Vec<Vec<(SocketAddr, Option<Judged>)>> = Vec::new();
        by_target.resize_with(self.request.targets.len(), Vec::new);
        for (job, judged) in jobs.iter().zip(judged) {
            if let Some(own) = by_target.get_mut(job.target) {
                own.push((job.place, judged));
            }
        }
        let mut size = 0;
        let targets = self.request.targets.iter().zip(by_target).enumerate();
        let reports = targets.map(|(index, (target, own))| {
            let time = |times: &RefCell<Vec<Option<Moment>>>| times.borrow().get(index).copied().flatten();
            let began = time(&self.began_at).unwrap_or_else(Moment::now);
            let mut report = Report::new(target.ip, began);
            let whole = own.iter().all(|(_, judged)| judged.is_some());
            for (place, judged) in own {
                add(&mut report, place, judged);
            }
            if target.ports.len() > PORTS {
                let note = format!(
                    "{} ports are open; the first {PORTS} were looked at",
                    target.ports.len()
                );
                report.notes.push(note);
            }
            if whole {
                report.completed_at = Some(time(&self.ended_at).unwrap_or(began));
                report.modules_run = self.request.modules.iter().map(|module| module.name()).collect();
            } else {
                report.notes.push("cut off: there was no time for all of it".to_owned());
            }
            size += serde_json::to_string(&report).map_or(0, |text| text.len());
            if size <= ANSWER {
                return report;
            }
            let mut cut = Report::new(target.ip, began);
            cut.notes
                .push("left out: the answer would be too large; ask for fewer targets at once".to_owned());
            cut
        });
        reports.collect()
    }
}

/// Bytes of certificates that there is still room for.
struct Room {
    of_target: Vec<usize>,
    of_all: usize,
}

impl Room {
    fn of(targets: usize) -> Self {
        Self {
            of_target: vec![CERTIFICATES; targets],
            of_all: ANSWER,
        }
    }

    /// Drops the certificates that there is no room for. What was found in them stays.
    fn keep(&mut self, job: &Job, judged: &mut Judged) {
        let Some(of_target) = self.of_target.get_mut(job.target) else {
            return;
        };
        let size: usize = judged.certificates.iter().map(Certificate::size).sum();
        if size <= self.of_all.min(*of_target) {
            *of_target -= size;
            self.of_all -= size;
            return;
        }
        judged.certificates = Vec::new();
        let note = format!(
            "{} tls: its certificates are left out: they would be too much",
            job.place
        );
        judged.notes.push(note);
    }
}

fn add(report: &mut Report, place: SocketAddr, judged: Option<Judged>) {
    let Some(judged) = judged else { return };
    for (module, verdict) in judged.verdicts {
        report.take(module.name(), &module.checks(place.port()), place, verdict);
    }
    report.notes.extend(judged.notes);
    report.certificates.extend(judged.certificates);
}

fn certificate(place: SocketAddr, position: usize, facts: &tls::certificate::Facts) -> Certificate {
    Certificate {
        ip: place.ip().to_string(),
        port: place.port(),
        position,
        fingerprint_sha256: facts.fingerprint.clone(),
        subject: facts.subject.clone(),
        issuer: facts.issuer.clone(),
        serial: facts.serial.clone(),
        names: facts.names.clone(),
        not_before: facts.not_before,
        not_after: facts.not_after,
        key: facts.key.name(),
        signature_algorithm: facts.signature.clone(),
        self_signed: facts.self_signed,
    }
}

/// The sandbox says only that it is denied; which policy entry is missing the host knows, and adds.
fn refused(place: SocketAddr) -> Error {
    Refusal {
        capability: "net".to_owned(),
        target: format!("tcp {place}"),
        reason: "the policy grants no connection there, or the budget `connections` of this call is used up".to_owned(),
        missing_grant: String::new(),
    }
    .into()
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
