//! The one rule by which every capability is settled: what the policy offers, cut down to what the manifest asks,
//! cut down to the ceiling. What a "cut" is differs by capability and is told by [`Ask`].

use super::{Decision, Verdict};

/// One entry of a manifest or a ceiling, held against what a policy offers.
pub(super) trait Ask {
    /// What the policy offers and the runtime enforces.
    type Offer: Clone + PartialEq;

    /// The part of the offer that this entry asks for (or allows); never more than the offer.
    fn cut(&self, offer: &Self::Offer) -> Option<Self::Offer>;
    /// Whether what is granted is all that this entry asks for.
    fn satisfied_by(&self, granted: &Self::Offer) -> bool;
    /// Whether `wide` grants all that `narrow` does, so that `narrow` need not be listed.
    fn redundant(wide: &Self::Offer, narrow: &Self::Offer) -> bool {
        wide == narrow
    }
    /// The entry, for people.
    fn describe(&self) -> String;
    /// An offer, for people; never a value or a secret.
    fn describe_offer(offer: &Self::Offer) -> String;
}

/// What is settled: the word for the capability, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) skill: &'a str,
    pub(super) capability: &'static str,
}

impl Subject<'_> {
    pub(super) fn decide(&self, target: String, verdict: Verdict, reason: String) -> Decision {
        Decision {
            capability: self.capability,
            target,
            verdict,
            reason,
        }
    }
}

/// Settles one capability: what is granted, with one decision for each offer and one for each thing asked for that no
/// offer touches.
pub(super) fn settle<A: Ask>(
    subject: Subject<'_>,
    offers: &[A::Offer],
    asked: &[A],
    ceiling: &[A],
    decisions: &mut Vec<Decision>,
) -> Vec<A::Offer> {
    let mut granted = Vec::new();
    for offer in offers {
        let cut = cut_all(std::slice::from_ref(offer), asked);
        let (wanted, parts) = (widest::<A>(&cut), widest::<A>(&cut_all(&cut, ceiling)));
        let touching = || asked.iter().filter(|ask| ask.cut(offer).is_some());
        let satisfied = touching().all(|ask| parts.iter().any(|part| ask.satisfied_by(part)));
        let target = A::describe_offer(offer);
        decisions.push(if wanted.is_empty() {
            let reason = "offered by the policy, not asked for by the manifest".to_owned();
            subject.decide(target, Verdict::Refused, reason)
        } else if parts.is_empty() {
            let reason = "asked for by the manifest, over the publisher's ceiling in the trust file".to_owned();
            subject.decide(target, Verdict::Refused, reason)
        } else if satisfied {
            let reason = "asked for by the manifest, within the ceiling, granted by the policy".to_owned();
            subject.decide(target, Verdict::Granted, reason)
        } else {
            reduced::<A>(subject, &parts, parts != wanted)
        });
        granted.extend(parts);
    }
    for ask in asked
        .iter()
        .filter(|ask| offers.iter().all(|offer| ask.cut(offer).is_none()))
    {
        let Subject { skill, capability } = subject;
        let reason = format!(
            "asked for by the manifest, the policy grants {skill} no such {capability}: add it under [skills.{skill}]"
        );
        decisions.push(subject.decide(ask.describe(), Verdict::Refused, reason));
    }
    granted
}

fn reduced<A: Ask>(subject: Subject<'_>, parts: &[A::Offer], cut_by_ceiling: bool) -> Decision {
    let target: Vec<_> = parts.iter().map(A::describe_offer).collect();
    let by = if cut_by_ceiling {
        "the publisher's ceiling in the trust file"
    } else {
        "the policy"
    };
    let reason = format!("the manifest asks for more, {by} allows no more than this");
    subject.decide(target.join(", "), Verdict::Reduced, reason)
}

/// The parts of `offers` that any of `asks` asks for.
fn cut_all<A: Ask>(offers: &[A::Offer], asks: &[A]) -> Vec<A::Offer> {
    let cuts = offers
        .iter()
        .flat_map(|offer| asks.iter().filter_map(|ask| ask.cut(offer)));
    cuts.collect()
}

/// Without those that others include. Only for what is in force in the end: a narrow part may be within a ceiling that
/// refuses the wide one, and whoever asks for both must not get less than for one.
fn widest<A: Ask>(cuts: &[A::Offer]) -> Vec<A::Offer> {
    let mut parts: Vec<A::Offer> = Vec::new();
    for part in cuts {
        if !parts.iter().any(|wide| A::redundant(wide, part)) {
            parts.retain(|narrow| !A::redundant(part, narrow));
            parts.push(part.clone());
        }
    }
    parts
}
