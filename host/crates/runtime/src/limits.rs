//! Memory, tables and instances of one call, summed over its whole store. (Wasmtime's own limiter counts each
//! memory by itself.) It only says yes or no, and remembers the first no.

use bytesize::ByteSize;
use venom_bundle::capability::Budgets;
use wasmtime::ResourceLimiter;

use crate::stop::Stop;

/// The limiter in a store's data.
#[derive(Debug)]
pub(crate) struct Limits {
    memory: Sum,
    table_elements: Sum,
    instances: usize,
    denied: Option<Stop>,
}

#[derive(Debug)]
struct Sum {
    used: usize,
    peak: usize,
    limit: usize,
}

impl Sum {
    fn new(limit: u64) -> Self {
        Self {
            used: 0,
            peak: 0,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        }
    }

    /// Takes the growth if it fits.
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let growth = desired.saturating_sub(current);
        let Some(used) = self.used.checked_add(growth).filter(|used| *used <= self.limit) else {
            return false;
        };
        self.used = used;
        self.peak = self.peak.max(used);
        true
    }
}

impl Limits {
    pub(crate) fn new(budgets: &Budgets) -> Self {
        Self {
            memory: Sum::new(budgets.memory.as_u64()),
            table_elements: Sum::new(u64::from(budgets.table_elements)),
            instances: usize::try_from(budgets.instances).unwrap_or(usize::MAX),
            denied: None,
        }
    }

    /// Most memory at one time.
    pub(crate) fn memory_peak(&self) -> ByteSize {
        ByteSize::b(self.memory.peak as u64)
    }

    /// The first growth that was denied. A guest may survive that; when it traps, this is the likely cause.
    pub(crate) fn denied(&self) -> Option<&Stop> {
        self.denied.as_ref()
    }

    fn deny(&mut self, stop: Stop) -> bool {
        self.denied.get_or_insert(stop);
        false
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if self.memory.grow(current, desired) {
            return Ok(true);
        }
        let limit = ByteSize::b(self.memory.limit as u64);
        Ok(self.deny(Stop::budget("memory", limit)))
    }

    /// Granted here, but the pool or the machine had none.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.deny(Stop::budget("memory", format_args!("{error:#}")));
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if self.table_elements.grow(current, desired) {
            return Ok(true);
        }
        Ok(self.deny(Stop::budget("table_elements", self.table_elements.limit)))
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        usize::MAX
    }

    fn memories(&self) -> usize {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_summed_over_all_memories() {
        let budgets = Budgets {
            memory: ByteSize::b(100),
            ..Budgets::default()
        };
        let mut limits = Limits::new(&budgets);
        assert!(limits.memory_growing(0, 60, None).unwrap());
        assert!(
            !limits.memory_growing(0, 60, None).unwrap(),
            "a second memory must not start from zero"
        );
        assert!(limits.memory_growing(0, 40, None).unwrap());
        assert_eq!(limits.memory_peak(), ByteSize::b(100));
        assert_eq!(limits.denied(), Some(&Stop::budget("memory", "100 B")));
    }

    #[test]
    fn growth_over_the_declared_maximum_is_no_matter_of_budgets() {
        let mut limits = Limits::new(&Budgets::default());
        assert!(!limits.memory_growing(0, 20, Some(10)).unwrap());
        assert!(!limits.table_growing(0, 20, Some(10)).unwrap());
        assert_eq!(limits.denied(), None);
    }
}
