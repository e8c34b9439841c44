//! The table of all task queues side by side.

use super::figures::{Contender, Throughput};

/// Markdown; below it what could not be measured.
pub(crate) fn render(sizes: &[usize], contenders: &[Contender]) -> String {
    let mut text = String::from("Task queues: no-op tasks, results recorded, two cores.\n\n| queue |");
    for size in sizes {
        text.push_str(&format!(" tasks/s at {size} | from first enqueue | enqueue/s |"));
    }
    text.push_str(" p50 / p99 | 20 x 0.5 s on 5 | workers' RSS |\n|---|");
    text.push_str(&"---|".repeat(sizes.len() * 3 + 3));
    for contender in contenders {
        text.push_str(&format!("\n| {} |", contender.name));
        for size in sizes {
            text.push_str(&cells(contender.at(*size)));
        }
        text.push_str(&last_cells(contender));
    }
    text.push('\n');
    for contender in contenders {
        for note in &contender.notes {
            text.push_str(&format!("\n- {}: {note}", contender.name));
        }
    }
    text.push('\n');
    text
}

fn cells(run: Option<Throughput>) -> String {
    run.map_or_else(
        || String::from(" - | - | - |"),
        |run| {
            format!(
                " {:.0} | {:.0} | {:.0} |",
                run.consume_rate(),
                run.total_rate(),
                run.enqueue_rate()
            )
        },
    )
}

fn last_cells(contender: &Contender) -> String {
    let latency = contender
        .latency
        .map(|latency| format!("{:.2} / {:.2} ms", latency.p50_ms, latency.p99_ms));
    let speedup = contender.speedup.map(|speedup| format!("{speedup:.2}x"));
    let resident = contender
        .throughput
        .last()
        .map(|run| format!("{:.0} MiB", run.resident_mib));
    let shown = |cell: Option<String>| cell.unwrap_or_else(|| String::from("-"));
    format!(" {} | {} | {} |", shown(latency), shown(speedup), shown(resident))
}
