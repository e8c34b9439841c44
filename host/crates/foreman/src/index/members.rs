//! A sparse set of places.

use super::{Place, bits, split};

/// A sparse bit set of places: words that are not zero, by block, in order.
#[derive(Debug, Default)]
pub(crate) struct Members(Vec<(usize, u64)>);

impl Members {
    pub(crate) fn insert(&mut self, place: Place) {
        let (block, bit) = split(place);
        match self.0.binary_search_by_key(&block, |word| word.0) {
            Ok(at) => {
                if let Some(word) = self.0.get_mut(at) {
                    word.1 |= bit;
                }
            }
            Err(at) => self.0.insert(at, (block, bit)),
        }
    }

    pub(crate) fn remove(&mut self, place: Place) {
        let (block, bit) = split(place);
        let Ok(at) = self.0.binary_search_by_key(&block, |word| word.0) else {
            return;
        };
        if let Some(word) = self.0.get_mut(at) {
            word.1 &= !bit;
            if word.1 == 0 {
                self.0.remove(at);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Blocks it has places in.
    pub(super) fn blocks(&self) -> usize {
        self.0.len()
    }

    /// Its words that are not zero, with their blocks, in order.
    pub(super) fn words(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().copied()
    }

    /// Its places in a block.
    pub(super) fn word(&self, block: usize) -> u64 {
        // most sets are full: the word of a block is at its number
        if let Some(&(at, word)) = self.0.get(block)
            && at == block
        {
            return word;
        }
        let found = self.0.binary_search_by_key(&block, |word| word.0).ok();
        found.and_then(|at| self.0.get(at)).map_or(0, |word| word.1)
    }
}

/// A bit for each block.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<u64>);

impl Blocks {
    pub(super) fn set(&mut self, block: usize, on: bool) {
        let (word, bit) = split(block);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word = if on { *word | bit } else { *word & !bit };
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(at, word)| bits(*word).map(move |bit| at * 64 + bit))
    }
}
