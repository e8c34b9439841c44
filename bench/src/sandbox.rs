//! A no-op call through the runtime, every budget on, beside bare wasmtime tuned alike in the same process:
//! both make a fresh store, instantiate the same pre-linked component from a pool, call `invoke` and drop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use venom_bundle::capability::Grants;
use venom_runtime::{Backends, Call, DirtyPageScan, Runtime, RuntimeSettings, Skill};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::table::{Row, percentile};
use crate::{Effort, guests};

mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "skill", exports: { default: async } });
}

/// Samples between switching from one side to the other, so that drift of the machine hits both.
const ROUND: usize = 500;

pub(crate) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for scan in [DirtyPageScan::Off, DirtyPageScan::On] {
        rows.extend(measure_with(effort, scan)?);
    }
    Ok(rows)
}

fn measure_with(effort: Effort, scan: DirtyPageScan) -> Result<Vec<Row>> {
    let on = matches!(scan, DirtyPageScan::On);
    let switch = if on { "dirty page scan" } else { "default" };
    let bare = Bare::new(on)?;
    let skill = load(scan)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for _ in 0..effort.count(40) {
            for _ in 0..ROUND {
                let began = Instant::now();
                bare.call().await?;
                floor.push(began.elapsed().as_secs_f64() * 1e6);
            }
            for _ in 0..ROUND {
                let began = Instant::now();
                call(&skill).await?;
                ours.push(began.elapsed().as_secs_f64() * 1e6);
            }
        }
        anyhow::Ok(())
    })?;
    let (floor_p50, p50) = (percentile(&mut floor, 0.5), percentile(&mut ours, 0.5));
    let ratio = p50 / floor_p50;
    let mut rows = vec![Row::ratio(
        &format!("sandboxed no-op call, {switch}"),
        format!("{p50:.1} us"),
        format!("bare wasmtime {floor_p50:.1} us"),
        ratio,
        "<= 1.5",
        ratio <= 1.5,
    )];
    let rate = runtime.block_on(rate(&skill, Duration::from_secs(if effort.quick { 2 } else { 5 })))?;
    if on {
        rows.push(Row::absolute(
            "sandboxed no-op calls/s, two cores",
            format!("{rate:.0}"),
            ">= 40,000",
            rate >= 40_000.0,
        ));
    } else {
        rows.push(Row::absolute(
            "same, without the switch",
            format!("{rate:.0}"),
            "-",
            true,
        ));
    }
    Ok(rows)
}

fn load(scan: DirtyPageScan) -> Result<Skill> {
    let settings = RuntimeSettings {
        dirty_page_scan: scan,
        ..RuntimeSettings::default()
    };
    let runtime = Runtime::new(settings)?;
    Ok(runtime.load(&guests::NOOP.verified()?, Grants::default(), &Backends::local())?)
}

async fn call(skill: &Skill) -> Result<()> {
    let call = Call {
        request_id: venom_protocol::RequestId::random(),
        task_id: String::from("bench"),
        traceparent: None,
        attempt: 1,
        method: String::from("noop"),
        params: RawValue::from_string(String::from("{}"))?,
        timeout: Duration::from_secs(30),
        cancel: CancellationToken::new(),
        progress: None,
        depth: 0,
    };
    skill.invoke(call).await.result?;
    Ok(())
}

/// Calls per second of two tasks, one a core.
async fn rate(skill: &Skill, time: Duration) -> Result<f64> {
    let done = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (skill, done) = (skill.clone(), Arc::clone(&done));
        running.spawn(async move {
            while began.elapsed() < time {
                call(&skill).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

/// The floor: wasmtime with the same engine settings and nothing of ours around it.
struct Bare {
    engine: Engine,
    pre: bindings::SkillPre<Host>,
}

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl Bare {
    fn new(scan: bool) -> Result<Self> {
        let mut pool = PoolingAllocationConfig::default();
        if scan {
            pool.pagemap_scan(wasmtime::Enabled::Yes);
            pool.linear_memory_keep_resident(1 << 20);
            pool.table_keep_resident(64 << 10);
        }
        let mut config = Config::new();
        config.concurrency_support(false);
        config.epoch_interruption(true);
        config.memory_init_cow(true);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).map_err(told)?;
        let component = Component::new(&engine, guests::NOOP.component()?).map_err(told)?;
        let mut linker: Linker<Host> = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(told)?;
        linker.define_unknown_imports_as_traps(&component).map_err(told)?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(bindings::SkillPre::new)
            .map_err(told)?;
        Ok(Self { engine, pre })
    }

    async fn call(&self) -> Result<()> {
        let host = Host {
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(&self.engine, host);
        store.set_epoch_deadline(1_000);
        let skill = self.pre.instantiate_async(&mut store).await.map_err(told)?;
        let answer = skill
            .venom_skill_api()
            .call_invoke(&mut store, "noop", "{}")
            .await
            .map_err(told)?;
        answer.map_err(|error| anyhow::anyhow!("the no-op skill failed: {error:?}"))?;
        Ok(())
    }
}

/// Wasmtime's error type is its own.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
