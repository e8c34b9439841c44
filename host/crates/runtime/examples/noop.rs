//! Measures one call of the no-op skill in a fresh sandbox, every budget on, beside bare wasmtime tuned alike.
//!
//! `cargo run -p venom-runtime --example noop -- target/wasm32-wasip2/skill/noop_guest.wasm [scan]`

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use venom_bundle::capability::Grants;
use venom_bundle::{SigningKey, SkillToml, Trust, UnverifiedBundle};
use venom_runtime::{Backends, Call, DirtyPageScan, Runtime, RuntimeSettings, Skill};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod bindings {
    //! Generated.
    wasmtime::component::bindgen!({ path: "../../../wit", world: "venom:skill/skill", exports: { default: async } });
}

const ROUNDS: usize = 7;
const CALLS: u32 = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let component = std::fs::read(arguments.next().context("name the component of the no-op skill")?)?;
    let scan = arguments.next().is_some();
    let skill = load(&component, scan)?;
    let bare = Bare::new(&component, scan).map_err(|error| anyhow!("{error:#}"))?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..CALLS {
            skill.invoke(call()).await.result?;
        }
        ours.push(begun.elapsed() / CALLS);
        let begun = Instant::now();
        for _ in 0..CALLS {
            bare.call().await.map_err(|error| anyhow!("{error:#}"))?;
        }
        floor.push(begun.elapsed() / CALLS);
    }
    let (ours, floor) = (median(ours), median(floor));
    let ratio = ours.as_secs_f64() / floor.as_secs_f64();
    std::io::Write::write_all(
        &mut std::io::stdout(),
        format!("venom {ours:?}  bare {floor:?}  ratio {ratio:.2}  dirty page scan {scan}\n").as_bytes(),
    )?;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn call() -> Call {
    Call {
        request_id: venom_protocol::RequestId::random(),
        task_id: "6fa459ea-ee8a-4ca4-894e-db77e160355e".to_owned(),
        traceparent: None,
        attempt: 1,
        method: "noop".to_owned(),
        params: RawValue::from_string("{}".to_owned()).unwrap_or_default(),
        timeout: Duration::from_secs(30),
        cancel: CancellationToken::new(),
        progress: None,
        depth: 0,
    }
}

fn load(component: &[u8], scan: bool) -> Result<Skill> {
    let manifest = SkillToml::parse("name = \"NoopSkill\"\nversion = \"0.1.0\"\nsummary = \"nothing\"\n")?;
    let key = SigningKey::generate()?;
    let signed = venom_bundle::pack(&manifest, component, venom_protocol::Timestamp::now())?.sign(&key);
    let bundle = UnverifiedBundle::parse(signed.to_bytes())?
        .verify(&Trust::single("here", &key.public()), &semver::Version::new(0, 1, 0))?;
    let runtime = Runtime::new(RuntimeSettings {
        dirty_page_scan: if scan { DirtyPageScan::On } else { DirtyPageScan::Off },
        ..RuntimeSettings::default()
    })?;
    Ok(runtime.load(&bundle, Grants::default(), &Backends::local())?)
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Wasmtime as a careful user would set it up: pooled, copy on write, epochs, no budgets.
struct Bare {
    engine: Engine,
    pre: bindings::SkillPre<State>,
}

impl Bare {
    fn new(component: &[u8], scan: bool) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(512)
            .total_core_instances(2560)
            .total_memories(1024)
            .total_tables(2560)
            .total_stacks(512);
        if scan {
            pool.pagemap_scan(Enabled::Auto)
                .linear_memory_keep_resident(1 << 20)
                .table_keep_resident(1 << 20);
        }
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .epoch_interruption(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let component = Component::from_binary(&engine, component)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        linker.define_unknown_imports_as_traps(&component)?;
        Ok(Self {
            pre: bindings::SkillPre::new(linker.instantiate_pre(&component)?)?,
            engine,
        })
    }

    async fn call(&self) -> wasmtime::Result<()> {
        let state = State {
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(1_000_000);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let answer = instance.venom_skill_api().call_invoke(&mut store, "noop", "{}").await?;
        wasmtime::ensure!(answer.is_ok(), "the no-op failed");
        Ok(())
    }
}
