//! Tasks of one request that depend on each other: an order in which each comes after those it depends on.

use std::collections::VecDeque;

/// Places in an order where every one comes after those it `needs` (places too).
///
/// # Errors
/// The places that depend on each other in a circle, or on such ones.
pub(crate) fn sorted(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (place, needed) in needs.iter().enumerate() {
        for &other in needed {
            if let Some(list) = needed_by.get_mut(other) {
                list.push(place);
            }
        }
    }
    let is_free = |(place, count): (usize, &usize)| (*count == 0).then_some(place);
    let mut free: VecDeque<usize> = missing.iter().enumerate().filter_map(is_free).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(place) = free.pop_front() {
        order.push(place);
        for &next in needed_by.get(place).into_iter().flatten() {
            if let Some(count) = missing.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    free.push_back(next);
                }
            }
        }
    }
    if order.len() == needs.len() {
        return Ok(order);
    }
    let in_circle = |(place, count): (usize, &usize)| (*count > 0).then_some(place);
    Err(missing.iter().enumerate().filter_map(in_circle).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_after_what_it_needs() {
        let needs = vec![vec![1, 2], vec![3], vec![3], vec![], vec![0, 0]];
        let order = sorted(&needs).unwrap();
        let at = |place: usize| order.iter().position(|found| *found == place).unwrap();
        for (place, needed) in needs.iter().enumerate() {
            assert!(needed.iter().all(|other| at(*other) < at(place)), "{order:?}");
        }
    }

    #[test]
    fn circles_are_named() {
        assert_eq!(sorted(&[vec![1], vec![0], vec![]]), Err(vec![0, 1]));
        assert_eq!(sorted(&[vec![0]]), Err(vec![0]));
        assert_eq!(sorted(&[]), Ok(vec![]));
    }

    #[test]
    fn long_chains_take_no_stack() {
        let needs: Vec<Vec<usize>> = (0..100_000_usize)
            .map(|n| n.checked_sub(1).into_iter().collect())
            .collect();
        assert_eq!(sorted(&needs).unwrap().len(), 100_000);
    }
}
