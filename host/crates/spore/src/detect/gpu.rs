//! Whether programs here can use a GPU. On Linux that takes a device node, not just a card on the bus: a
//! container sees every card of the machine but can use only those whose nodes it was given.

use std::fs;
use std::path::Path;

/// Drivers of displays without a processor behind them. Their render nodes compute on the CPU, or not at all.
const DISPLAY_ONLY: [&str; 12] = [
    "ast",
    "bochs",
    "cirrus",
    "hyperv_drm",
    "mgag200",
    "qxl",
    "simpledrm",
    "udl",
    "vboxvideo",
    "vgem",
    "virtio_gpu",
    "vkms",
];

/// Device nodes that exist only where the vendor's compute driver is loaded: NVIDIA Jetson boards (their
/// GPU is no PCI card), Jetson Orin and later, AMD compute.
const COMPUTE_NODES: [(&str, &str); 4] = [
    ("dev/nvhost-gpu", "nvidia jetson"),
    ("dev/nvgpu/igpu0", "nvidia jetson"),
    ("dev/nvhost-ctrl-gpu", "nvidia jetson"),
    ("dev/kfd", "amd"),
];

/// A short description of the first GPU found; `root` is `/` but in tests.
pub(super) fn find(root: &Path) -> Option<String> {
    if cfg!(target_os = "linux") {
        node(root).map(|what| describe(&what))
    } else {
        listed()
    }
}

/// The name the bus gives to the card, when it has one, beside what the node told.
fn describe(node: &str) -> String {
    listed().map_or_else(|| node.to_owned(), |card| format!("{node} ({card})"))
}

fn listed() -> Option<String> {
    let gpus = sysinfo::Gpus::new_with_refreshed_list().ok()?;
    let names: Vec<&str> = gpus
        .iter()
        .filter_map(|gpu| gpu.model().or_else(|| gpu.vendor()))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn node(root: &Path) -> Option<String> {
    nvidia(root).or_else(|| compute(root)).or_else(|| render(root))
}

/// `/dev/nvidia0`, `/dev/nvidia1`, ...: not `nvidiactl` or `nvidia-uvm`, which exist without a card.
fn nvidia(root: &Path) -> Option<String> {
    names(&root.join("dev")).into_iter().find(|name| {
        name.strip_prefix("nvidia")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn compute(root: &Path) -> Option<String> {
    COMPUTE_NODES
        .iter()
        .find(|(path, _)| root.join(path).exists())
        .map(|(path, vendor)| format!("{vendor} at {path}"))
}

/// A render node whose driver is that of a real GPU. Without sysfs the driver is not known, and the node
/// is taken at its word.
fn render(root: &Path) -> Option<String> {
    names(&root.join("dev/dri"))
        .into_iter()
        .filter(|name| name.starts_with("renderD"))
        .find_map(|name| {
            let link = root.join("sys/class/drm").join(&name).join("device/driver");
            let driver = fs::read_link(link)
                .ok()
                .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
            match driver {
                Some(driver) if DISPLAY_ONLY.contains(&driver.as_str()) => None,
                Some(driver) => Some(format!("{driver} at dev/dri/{name}")),
                None => Some(format!("dev/dri/{name}")),
            }
        })
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(nodes: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for node in nodes {
            let path = root.path().join(node);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "").expect("written");
        }
        root
    }

    fn with_driver(driver: &str) -> tempfile::TempDir {
        let root = machine(&["dev/dri/renderD128", "dev/dri/card0"]);
        let device = root.path().join("sys/class/drm/renderD128/device");
        fs::create_dir_all(&device).expect("made");
        std::os::unix::fs::symlink(format!("../../bus/drivers/{driver}"), device.join("driver")).expect("linked");
        root
    }

    #[test]
    fn a_machine_without_nodes_has_none() {
        assert_eq!(node(machine(&["dev/null"]).path()), None);
        assert_eq!(node(machine(&[]).path()), None);
    }

    #[test]
    fn nvidia_control_nodes_are_no_card() {
        assert_eq!(node(machine(&["dev/nvidiactl", "dev/nvidia-uvm"]).path()), None);
        assert_eq!(
            node(machine(&["dev/nvidiactl", "dev/nvidia0"]).path()).as_deref(),
            Some("nvidia0")
        );
    }

    #[test]
    fn jetson_and_amd_compute_nodes_count() {
        for path in ["dev/nvhost-gpu", "dev/nvgpu/igpu0", "dev/kfd"] {
            let found = node(machine(&[path]).path()).unwrap_or_else(|| panic!("{path} was not found"));
            assert!(found.contains(path), "{found}");
        }
    }

    #[test]
    fn a_render_node_counts_by_its_driver() {
        assert!(node(with_driver("amdgpu").path()).is_some());
        assert!(node(with_driver("i915").path()).is_some());
        assert_eq!(node(with_driver("virtio_gpu").path()), None);
        assert_eq!(node(with_driver("vkms").path()), None);
        assert_eq!(node(machine(&["dev/dri/card0"]).path()), None);
    }
}
