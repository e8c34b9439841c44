//! The index against a scan.

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};
use uuid::Uuid;
use venom_protocol::NodeId;

use super::*;

/// Three blocks and a bit.
const PLACES: usize = 200;
const LABELS: [Label<'_>; 4] = [Label::Skill("a"), Label::Skill("b"), Label::Tag("a"), Label::Gpu];

#[derive(Debug, Clone)]
enum Op {
    Label { at: usize, label: usize, on: bool },
    Set { at: usize, standing: Option<Standing> },
}

prop_compose! {
    fn standing()(
        at in 0..PLACES,
        here in prop::bool::weighted(0.8),
        (score, in_flight, chosen) in (0..6_u8, 0..3_u32, 0..5_u64),
        (willing, open, room) in (any::<bool>(), prop::bool::weighted(0.8), 0..4_u16),
    ) -> Op {
        let standing = Standing {
            rank: Rank::new(f64::from(score), in_flight, NodeId(Uuid::from_u128(at as u128))),
            chosen,
            willing: willing || open,
            open,
            room: if open { room } else { 0 },
        };
        Op::Set { at, standing: here.then_some(standing) }
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..PLACES, 0..LABELS.len(), prop::bool::weighted(0.7)).prop_map(|(at, label, on)| Op::Label { at, label, on }),
        standing(),
    ]
}

fn chosen(mask: usize) -> Vec<usize> {
    (0..LABELS.len()).filter(|label| mask >> label & 1 == 1).collect()
}

fn named(labels: &[usize]) -> Vec<Label<'static>> {
    labels.iter().map(|&label| LABELS[label]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x1DE8),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"), "/tests/index.regressions"
        )))),
        ..ProptestConfig::with_cases(200)
    })]

    #[test]
    fn finds_what_a_scan_finds(
        ops in prop::collection::vec(op(), 1..1_500),
        asked in 1..16_usize,
        unwanted in 0..16_usize,
        preferred in 0..16_usize,
        group in prop::collection::btree_set(0..PLACES, 0..20),
        avoided in 0..PLACES,
        most in 1..300_u64,
    ) {
        let mut index = Index::default();
        let mut labels = [[false; LABELS.len()]; PLACES];
        let mut standings = [None; PLACES];
        for op in ops {
            match op {
                Op::Label { at, label, on } => {
                    labels[at][label] = on;
                    if on { index.add_label(LABELS[label], at) } else { index.remove_label(LABELS[label], at) }
                }
                Op::Set { at, standing } => {
                    standings[at] = standing;
                    index.set(at, standing);
                }
            }
        }
        let room = |at: &usize| standings[*at].map_or(0, |node| u64::from(node.room));
        prop_assert_eq!(index.room(), (0..PLACES).map(|at| room(&at)).sum::<u64>());
        let (asked, unwanted, preferred) = (chosen(asked), chosen(unwanted & !asked), chosen(preferred));
        let (names, not, liked) = (named(&asked), named(&unwanted), named(&preferred));
        let query = Query { labels: &names, excluded: &not };
        let fits = |at: &usize| asked.iter().all(|&label| labels[*at][label]) && !unwanted.iter().any(|&label| labels[*at][label]);
        let having: Vec<usize> = (0..PLACES).filter(fits).collect();
        prop_assert_eq!(&index.having(query), &having);
        prop_assert!((0..PLACES).all(|at| index.fits(query, at) == having.contains(&at)));
        prop_assert_eq!(index.any_willing(query), having.iter().any(|at| standings[*at].is_some_and(|node| node.willing)));

        let mut members = Members::default();
        for place in &group { members.insert(*place); }
        let wishes = [Wish::Not(avoided), Wish::In(&members), Wish::Any(&liked), Wish::NotIn(&members)];
        let failed = |at: usize| (at == avoided, !group.contains(&at), !preferred.iter().any(|&label| labels[at][label]), group.contains(&at));
        for order in [Order::Load, Order::Turn, Order::Spread] {
            let open = having.iter().copied().filter(|&at| standings[at].is_some_and(|node| node.open));
            let best = open.min_by_key(|&at| standings[at].map(|node| node.key(order)));
            prop_assert_eq!(index.best(query, Among::Open, order, &[]), best);
            let roomy = having.iter().copied().filter(|&at| standings[at].is_some_and(|node| node.room > 0));
            let best = roomy.min_by_key(|&at| (failed(at), standings[at].map(|node| node.key(order))));
            prop_assert_eq!(index.best(query, Among::Roomy, order, &wishes), best);
        }

        let mut union = Union::up_to(most);
        let all: u64 = having.iter().map(room).sum();
        prop_assert_eq!(index.room_of(query, most, &mut union), all.min(most));
        prop_assert_eq!(union.room(), all.min(most));
        prop_assert_eq!(index.room_of(query, most, &mut union), all.min(most));
        prop_assert_eq!(union.room(), all.min(most), "nothing is counted twice");
        union.add_place(avoided, &index);
        let more = if having.contains(&avoided) { 0 } else { room(&avoided) };
        prop_assert!(union.room() >= all.min(most) && union.room() <= (all + more).min(most));
    }
}

#[test]
fn a_label_that_nobody_has_is_forgotten() {
    let mut index = Index::default();
    index.add_label(Label::Skill("a"), 70);
    index.add_label(Label::Skill("a"), 70);
    assert!(index.has(Label::Skill("a"), 70) && !index.has(Label::Skill("a"), 6));
    index.remove_label(Label::Skill("a"), 70);
    assert_eq!(index.skills().len(), 0);
}
