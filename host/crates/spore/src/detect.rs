//! What this machine has: cores, memory, GPU, Docker, platform. Looked at once, at the start; asks no
//! network but the Docker socket, and changes nothing.

mod docker;
mod gpu;

use std::path::Path;

use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use venom_protocol::Capabilities;

/// Tag of a node with a GPU.
const GPU_TAG: &str = "gpu";

/// What this machine has, with `tags` as given and `gpu` added when there is one. The skills are left
/// empty: they are not the machine's. Blocks for up to a second (the Docker engine is asked); call it
/// off the async threads.
#[must_use]
pub fn detect(tags: &[String]) -> Capabilities {
    let gpu = gpu::find(Path::new("/"));
    if let Some(gpu) = &gpu {
        tracing::info!(gpu, "this machine has a gpu");
    }
    Capabilities {
        skills: Vec::new(),
        tags: with_gpu(tags, gpu.is_some()),
        cpu_cores: std::thread::available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        memory_mb: memory_bytes() / (1024 * 1024),
        has_gpu: gpu.is_some(),
        has_docker: docker::answers(std::env::var("DOCKER_HOST").ok().as_deref()),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

/// Tags without repeats, in the order given.
fn with_gpu(tags: &[String], has_gpu: bool) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(tags.len() + 1);
    for tag in tags.iter().map(String::as_str).chain(has_gpu.then_some(GPU_TAG)) {
        if !all.iter().any(|known| known == tag) {
            all.push(tag.to_owned());
        }
    }
    all
}

/// Memory this process may use: that of the machine, or of its control group when that is less.
fn memory_bytes() -> u64 {
    let kinds = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(kinds) else {
        return 0;
    };
    let machine = system.total_memory();
    system
        .cgroup_limits()
        .map_or(machine, |limits| machine.min(limits.total_memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_memory_and_a_platform() {
        let found = detect(&["location:lab".to_owned()]);
        assert!(found.cpu_cores >= 1);
        assert!(found.memory_mb >= 64, "{}", found.memory_mb);
        assert_eq!(
            found.platform,
            format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
        );
        assert_eq!(found.tags.first().map(String::as_str), Some("location:lab"));
        assert_eq!(found.tags.iter().any(|tag| tag == "gpu"), found.has_gpu);
    }

    #[test]
    fn the_gpu_tag_comes_with_a_gpu_and_only_once() {
        let tags = ["a".to_owned(), "gpu".to_owned(), "a".to_owned()];
        assert_eq!(with_gpu(&tags, true), ["a", "gpu"]);
        assert_eq!(with_gpu(&tags[..1], true), ["a", "gpu"]);
        assert_eq!(with_gpu(&tags[..1], false), ["a"]);
    }
}
