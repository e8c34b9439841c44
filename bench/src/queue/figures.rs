//! What is measured of every task queue alike.

/// One task queue and its figures.
pub(crate) struct Contender {
    /// Name in the table.
    pub(crate) name: &'static str,
    /// One for each number of queued tasks that was tried.
    pub(crate) throughput: Vec<Throughput>,
    /// Submit to result.
    pub(crate) latency: Option<Latency>,
    /// How much faster 20 tasks of 0.5 s are on 5 workers.
    pub(crate) speedup: Option<f64>,
    /// What could not be measured, and why, a line each.
    pub(crate) notes: Vec<String>,
}

/// A run of so many no-op tasks: all enqueued, then all consumed.
#[derive(Clone, Copy)]
pub(crate) struct Throughput {
    pub(crate) tasks: usize,
    pub(crate) enqueue_s: f64,
    pub(crate) consume_s: f64,
    /// Memory of the workers (of Venom: nexus and spore) at the end, MiB.
    pub(crate) resident_mib: f64,
}

/// Submit to result, one task after the other.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Throughput {
    /// Tasks enqueued in a second.
    pub(crate) fn enqueue_rate(&self) -> f64 {
        self.tasks as f64 / self.enqueue_s
    }

    /// Tasks a second from the start of consumption to the last result.
    pub(crate) fn consume_rate(&self) -> f64 {
        self.tasks as f64 / self.consume_s
    }

    /// Tasks a second from the first one enqueued to the last result.
    pub(crate) fn total_rate(&self) -> f64 {
        self.tasks as f64 / (self.enqueue_s + self.consume_s)
    }
}

impl Contender {
    /// One without figures yet.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            throughput: Vec::new(),
            latency: None,
            speedup: None,
            notes: Vec::new(),
        }
    }

    /// The run with so many tasks.
    pub(crate) fn at(&self, tasks: usize) -> Option<Throughput> {
        self.throughput.iter().find(|run| run.tasks == tasks).copied()
    }

    /// Measures `runs` times with so many tasks and keeps the median run; a run that fails becomes a note and is
    /// tried again as long as half of them go well.
    pub(crate) fn try_throughput(
        &mut self,
        tasks: usize,
        runs: usize,
        mut run: impl FnMut() -> anyhow::Result<Throughput>,
    ) {
        let mut ended = Vec::new();
        for _ in 0..runs * 2 {
            if ended.len() == runs {
                break;
            }
            match run() {
                Ok(figures) => ended.push(figures),
                Err(error) => self.notes.push(format!("{tasks} queued: {error:#}")),
            }
        }
        ended.sort_by(|one, other| one.total_rate().total_cmp(&other.total_rate()));
        self.throughput.extend(ended.get(ended.len() / 2));
    }

    /// Keeps the figure, or why there is none.
    pub(crate) fn keep<T>(&mut self, what: &str, measured: anyhow::Result<T>) -> Option<T> {
        measured
            .map_err(|error| self.notes.push(format!("{what}: {error:#}")))
            .ok()
    }
}
