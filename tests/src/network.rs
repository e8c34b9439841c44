//! Networks of the tests' own: sites with a gateway, hosts with real services and a way to the nexus, each in a network namespace.
//! Nothing of the machine's own network is touched; all of it goes away when dropped. Needs root and iproute2.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

/// Whether networks can be made here. Tests that need one say so when not, and fail where CI promises it.
#[must_use]
pub fn can_make_networks() -> bool {
    rustix::process::geteuid().is_root()
        && Command::new("ip")
            .arg("-V")
            .output()
            .is_ok_and(|output| output.status.success())
}

/// The namespaces of one test.
pub struct TestNetwork {
    prefix: String,
    namespaces: Vec<String>,
    uplinks: u8,
}

/// One site: a gateway at `192.168.1.1/24` and hosts beside it, on one bridge.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its bridge is in this namespace, and the gateway's address on it.
    gateway: String,
    name: String,
}

/// Where the nexus is: every site's agent reaches it, no host does.
pub const NEXUS_ADDRESS: &str = "10.99.0.1";

impl TestNetwork {
    /// A namespace for the nexus and nothing else.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut network = Self {
            prefix: format!("vt{}-{number}", std::process::id()),
            namespaces: Vec::new(),
            uplinks: 0,
        };
        let cloud = network.namespace("cloud")?;
        // the bridge that all agents' ways up end on
        ip(&["-n", &cloud, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &cloud, "addr", "add", "10.99.0.1/24", "dev", "br0"])?;
        ip(&["-n", &cloud, "link", "set", "br0", "up"])?;
        Ok(network)
    }

    /// The namespace of the nexus.
    #[must_use]
    pub fn cloud(&self) -> String {
        format!("{}-cloud", self.prefix)
    }

    /// A site; all have the same private addresses.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn site(&mut self, name: &str) -> Result<Site> {
        let gateway = self.namespace(&format!("{name}-gw"))?;
        ip(&["-n", &gateway, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &gateway, "addr", "add", "192.168.1.1/24", "dev", "br0"])?;
        ip(&["-n", &gateway, "link", "set", "br0", "up"])?;
        Ok(Site {
            gateway,
            name: name.to_owned(),
        })
    }

    /// A host of the site with that last byte of its address; answers its namespace.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn host(&mut self, site: &Site, last: u8) -> Result<String> {
        let host = self.namespace(&format!("{}-{last}", site.name))?;
        let (here, there) = ("lan0", format!("h{last}"));
        ip(&[
            "-n",
            &host,
            "link",
            "add",
            here,
            "type",
            "veth",
            "peer",
            "name",
            &there,
            "netns",
            &site.gateway,
        ])?;
        ip(&["-n", &site.gateway, "link", "set", &there, "master", "br0", "up"])?;
        ip(&["-n", &host, "addr", "add", &format!("192.168.1.{last}/24"), "dev", here])?;
        ip(&["-n", &host, "link", "set", here, "up"])?;
        ip(&["-n", &host, "route", "add", "default", "via", "192.168.1.1"])?;
        Ok(host)
    }

    /// A host of the site that reaches the nexus too: where its agent runs.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn agent_host(&mut self, site: &Site, last: u8) -> Result<String> {
        let host = self.host(site, last)?;
        let cloud = self.cloud();
        self.uplinks += 1;
        let (here, there) = ("up0", format!("u{}", self.uplinks));
        ip(&[
            "-n", &host, "link", "add", here, "type", "veth", "peer", "name", &there, "netns", &cloud,
        ])?;
        ip(&["-n", &cloud, "link", "set", &there, "master", "br0", "up"])?;
        let address = format!("10.99.0.{}/24", u32::from(self.uplinks) + 10);
        ip(&["-n", &host, "addr", "add", &address, "dev", here])?;
        ip(&["-n", &host, "link", "set", here, "up"])?;
        Ok(host)
    }

    /// Cuts or mends the way of an agent's host to the nexus.
    ///
    /// # Errors
    /// When it has none.
    pub fn set_uplink(&self, host: &str, up: bool) -> Result<()> {
        ip(&["-n", host, "link", "set", "up0", if up { "up" } else { "down" }])
    }

    /// Takes a host off its network.
    ///
    /// # Errors
    /// When it is none.
    pub fn unplug(&self, host: &str) -> Result<()> {
        ip(&["-n", host, "link", "set", "lan0", "down"])
    }

    fn namespace(&mut self, name: &str) -> Result<String> {
        let name = format!("{}-{name}", self.prefix);
        ip(&["netns", "add", &name])?;
        self.namespaces.push(name.clone());
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        Ok(name)
    }
}

impl Drop for TestNetwork {
    fn drop(&mut self) {
        for name in &self.namespaces {
            // fails only when it is gone, and then it is gone
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

/// A program in a namespace.
#[must_use]
pub fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// Moves the thread that calls it, and those it will start, into a namespace. There is no way back: use a thread of its own.
///
/// # Errors
/// When there is no such namespace, or this is not root.
pub fn enter(namespace: &str) -> Result<()> {
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).context("no such namespace")?;
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&file),
        Some(rustix::thread::LinkNameSpaceType::Network),
    )
    .context("cannot enter the namespace")
}

fn ip(arguments: &[&str]) -> Result<()> {
    let Output { status, stderr, .. } = Command::new("ip").args(arguments).output().context("no iproute2")?;
    ensure!(
        status.success(),
        "ip {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&stderr).trim()
    );
    Ok(())
}
