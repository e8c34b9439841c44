//! How wasmtime is configured: a pool sized for the calls that may run at once, and no feature a skill does
//! not need. It holds no skill and starts no thread.

use std::fs;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::error::EngineFailure;
use crate::{DirtyPageScan, RuntimeError, RuntimeSettings};

/// Go and Python components are several core modules linked together, each an instance with its own table.
const CORE_INSTANCES_PER_CALL: u32 = 5;
/// Nearly all components have one memory; a few composed ones have two.
const MEMORIES_PER_CALL: u32 = 2;
/// Most core instances, tables and memories of one component; above this it is refused when it is loaded.
const MAX_PER_COMPONENT: u32 = 100;
/// Wasm stack of one call. Deeper recursion traps.
const WASM_STACK: usize = 512 << 10;
/// Wasm stack and what host calls need on top of it.
const CALL_STACK: usize = 2 << 20;
/// Elements of one table; Python components have function tables of some ten thousand.
const TABLE_ELEMENTS: usize = 100_000;
/// Bytes of instance data (globals, function references) of one component.
const INSTANCE_BYTES: usize = 4 << 20;
/// With dirty pages known, resetting up to this much by copying is cheaper than unmapping it.
const KEEP_RESIDENT: usize = 1 << 20;
/// Memory mappings one running call needs (stack and its guard, memory image, heap, their guards).
const MAPS_PER_CALL: u64 = 6;
/// Mappings the rest of the process needs.
const MAPS_ELSEWHERE: u64 = 4_096;

/// Builds the engine.
pub(crate) fn build(settings: &RuntimeSettings) -> Result<Engine, RuntimeError> {
    check(settings)?;
    warn_of_map_limit(settings.slots);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .shared_memory(false)
        .wasm_memory64(false)
        // adapters between the modules of one component read one memory and write another; all are summed
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(CALL_STACK)
        .memory_init_cow(true)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
    Engine::new(&config).map_err(|source| RuntimeError::Engine {
        slots: settings.slots,
        source: EngineFailure::from(source),
    })
}

fn check(settings: &RuntimeSettings) -> Result<(), RuntimeError> {
    let bad = |setting, problem: &str| {
        Err(RuntimeError::BadSetting {
            setting,
            problem: problem.to_owned(),
        })
    };
    if settings.slots == 0 || settings.slots > 100_000 {
        return bad("slots", "must be between 1 and 100000");
    }
    if settings.max_memory.as_u64() < 64 << 10 || settings.max_memory.as_u64() > 4 << 30 {
        return bad(
            "max_memory",
            "must be between 64 KiB and 4 GiB, the range of a 32-bit memory",
        );
    }
    if settings.epoch_tick.is_zero() || settings.epoch_tick.as_secs() >= 1 {
        return bad("epoch_tick", "must be over 0 and under 1s");
    }
    Ok(())
}

fn pool(settings: &RuntimeSettings) -> PoolingAllocationConfig {
    let slots = settings.slots;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_CALL))
        .total_stacks(slots)
        .total_memories(slots.saturating_mul(MEMORIES_PER_CALL))
        .total_tables(slots.saturating_mul(CORE_INSTANCES_PER_CALL))
        .max_core_instances_per_component(MAX_PER_COMPONENT)
        .max_memories_per_component(MAX_PER_COMPONENT)
        .max_tables_per_component(MAX_PER_COMPONENT)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_tables_per_module(8)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(usize::try_from(settings.max_memory.as_u64()).unwrap_or(usize::MAX))
        .max_unused_warm_slots(slots);
    if scans_dirty_pages(settings.dirty_page_scan) {
        pool.pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(KEEP_RESIDENT)
            .table_keep_resident(KEEP_RESIDENT);
    } else {
        pool.pagemap_scan(Enabled::No);
    }
    pool
}

/// Whether the setting comes out as "scan" on this machine.
pub(crate) fn scans_dirty_pages(setting: DirtyPageScan) -> bool {
    match setting {
        DirtyPageScan::Off => false,
        DirtyPageScan::On => true,
        DirtyPageScan::Auto => fs::read_to_string("/proc/swaps").is_ok_and(|swaps| has_no_swap(&swaps)),
    }
}

/// `/proc/swaps` is a heading and one line for each swap area.
fn has_no_swap(swaps: &str) -> bool {
    swaps.starts_with("Filename") && swaps.lines().skip(1).all(|line| line.trim().is_empty())
}

fn warn_of_map_limit(slots: u32) {
    let Some(limit) = fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok())
    else {
        return;
    };
    let needed = u64::from(slots) * MAPS_PER_CALL + MAPS_ELSEWHERE;
    if needed > limit {
        tracing::warn!(
            slots,
            needed,
            limit,
            "more slots than this kernel has memory mappings for; calls may fail when all run at once \
             (lower `slots` or run: sysctl -w vm.max_map_count={needed})"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytesize::ByteSize;

    use super::*;

    #[test]
    fn swap_is_recognised() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(has_no_swap(heading));
        assert!(!has_no_swap(&format!("{heading}/dev/sda2 partition 1 0 -2\n")));
        assert!(!has_no_swap(""), "a file that cannot be understood must count as swap");
    }

    #[test]
    fn senseless_settings_are_refused_by_name() {
        let good = RuntimeSettings::default();
        let bad = [
            (
                "slots",
                RuntimeSettings {
                    slots: 0,
                    ..good.clone()
                },
            ),
            (
                "max_memory",
                RuntimeSettings {
                    max_memory: ByteSize::b(1),
                    ..good.clone()
                },
            ),
            (
                "max_memory",
                RuntimeSettings {
                    max_memory: ByteSize::gib(5),
                    ..good.clone()
                },
            ),
            (
                "epoch_tick",
                RuntimeSettings {
                    epoch_tick: Duration::ZERO,
                    ..good.clone()
                },
            ),
        ];
        for (name, settings) in bad {
            let error = build(&settings).err().unwrap().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
        assert!(build(&good).is_ok());
    }
}
