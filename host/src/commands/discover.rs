//! `discover`: who announces itself in the LAN. Dials nobody.

use serde::Serialize;
use venom_mdns::{Found, Link};

use crate::cli::{DiscoverArgs, MdnsArgs};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::{MdnsSettings, Sources};

/// What `--json` prints.
#[derive(Serialize)]
struct Answer {
    looked_on: Vec<Link>,
    found: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    found: Found,
    urls: Vec<String>,
}

/// Looks for as long as it was told.
pub(crate) async fn run(args: DiscoverArgs, sources: Sources) -> Result<(), Failure> {
    let asked = MdnsArgs {
        no_mdns: false,
        mdns_interface: args.mdns_interface,
    };
    let interfaces = MdnsSettings::merge(asked, &sources)?.interfaces;
    let looked_on = interfaces.usable();
    if looked_on.is_empty() {
        return Err(Failure::new("there is no network interface to look on")
            .because(match interfaces.selectors() {
                [] => "none is up, but for loopback and those of containers".to_owned(),
                named => {
                    let names: Vec<String> = named.iter().map(ToString::to_string).collect();
                    format!("none that is up is among {}", names.join(", "))
                }
            })
            .help("name one with --mdns-interface NAME; `ip addr` lists them"));
    }
    let found = venom_mdns::look(&interfaces, args.timeout.0)
        .await
        .or_fail("cannot look in the LAN")?;
    let found: Vec<Row> = found
        .into_iter()
        .map(|found| Row {
            urls: found.urls(),
            found,
        })
        .collect();
    if args.json {
        return output::say_json(&Answer { looked_on, found });
    }
    if found.is_empty() {
        let mut names: Vec<String> = looked_on.into_iter().map(|link| link.name).collect();
        names.dedup();
        output::note(format!("nobody announces itself on {}", names.join(", ")));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found.iter().map(cells).collect();
    output::say(output::table(&["ROLE", "NAME", "VERSION", "ID", "AT"], &rows))
}

fn cells(row: &Row) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let found = &row.found;
    let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
    vec![
        found.role.as_str().to_owned(),
        found.instance.clone(),
        or_dash(found.version.clone()),
        or_dash(found.id.as_ref().map(ToString::to_string)),
        row.urls.first().cloned().unwrap_or_else(|| addresses.join(",")),
    ]
}
