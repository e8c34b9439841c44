//! The skill as its callers see it, on a fake host and in a network that a test describes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use venom_sdk::fake::Host;
use venom_sdk::lan::{Device, Link, Neighbour, Service, TlsSession};
use venom_sdk::{Error, Skill, call};

use crate::NetScanSkill;
use crate::sweep::script::{Answer, Network, install};

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 168, 7, last], port))
}

fn open(greeting: &str, answer: &str) -> Answer {
    Answer::Open(greeting.as_bytes().to_vec(), answer.as_bytes().to_vec())
}

fn office() -> Network {
    let answers = [
        (
            at(1, 80),
            open("", "HTTP/1.1 200 OK\r\nServer: lighttpd/1.4.69\r\n\r\n"),
        ),
        (at(1, 443), open("", "")),
        (at(7, 22), open("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "")),
        (at(9, 80), Answer::Refuse),
        (
            at(20, 631),
            open("", "HTTP/1.1 200 OK\r\nServer: CUPS/2.4 IPP/2.1\r\n\r\n"),
        ),
    ];
    Network {
        answers: answers.into_iter().collect(),
        ..Network::default()
    }
}

fn host() -> Host {
    let certificate = rcgen::generate_simple_self_signed(vec!["fritz.box".to_owned()]).unwrap();
    let session = TlsSession {
        version: "TLSv1.3".to_owned(),
        chain: vec![certificate.cert.der().to_vec()],
        ..TlsSession::default()
    };
    let neighbour = |address: &str, mac: &str| Neighbour {
        address: address.to_owned(),
        mac: mac.to_owned(),
        link: "eth0".to_owned(),
    };
    Host::new()
        .remaining(Duration::from_secs(600))
        .links([Link {
            name: "eth0".to_owned(),
            address: "192.168.7.5".to_owned(),
            prefix: 24,
            mac: "02:00:00:00:00:05".to_owned(),
            gateway: "192.168.7.1".to_owned(),
            gateway_mac: "50:a6:d8:00:00:01".to_owned(),
        }])
        .neighbours([
            neighbour("192.168.7.1", "50:a6:d8:00:00:01"),
            neighbour("192.168.7.9", "da:a1:19:00:00:09"),
        ])
        .reverse(IpAddr::from([192, 168, 7, 7]), &["db.lan"])
        .tls(at(1, 443), Ok(session))
        .services([Service {
            instance: "Printer in the hall".to_owned(),
            kind: "_ipp._tcp".to_owned(),
            host: "printer.local".to_owned(),
            addresses: vec!["192.168.7.20".to_owned(), "10.9.9.9".to_owned()],
            port: 631,
            properties: Vec::new(),
        }])
        .devices([Device {
            address: "192.168.7.30".to_owned(),
            target: "urn:schemas-upnp-org:device:MediaRenderer:1".to_owned(),
            server: "Linux/5 UPnP/1.0 Box/1".to_owned(),
            ..Device::default()
        }])
}

fn assets(answer: &Value) -> Vec<(&str, &Value)> {
    let assets = answer["discoveries"][0]["assets"].as_array().unwrap();
    assets
        .iter()
        .map(|asset| (asset["ip"].as_str().unwrap(), asset))
        .collect()
}

#[test]
fn an_office_is_told_with_all_that_its_surroundings_say() {
    let network = install(office());
    let host = host().install();
    let answer = call::<NetScanSkill>("scan", json!({})).unwrap();
    let discovery = &answer["discoveries"][0];
    assert_eq!(answer.as_object().unwrap().len(), 1);
    assert_eq!(
        (&discovery["target"], &discovery["is_root"]),
        (&json!("192.168.7.0/24"), &json!(false))
    );
    assert_eq!(discovery["ports_scanned"].as_array().unwrap().len(), 20);
    assert!(discovery["completed_at"].as_str().unwrap() >= discovery["started_at"].as_str().unwrap());
    assert_eq!(discovery["network_fingerprint"]["gateway_mac"], "50:a6:d8:00:00:01");
    let assets = assets(&answer);
    let ips: Vec<&str> = assets.iter().map(|(ip, _)| *ip).collect();
    assert_eq!(
        ips,
        [
            "192.168.7.1",
            "192.168.7.7",
            "192.168.7.9",
            "192.168.7.20",
            "192.168.7.30"
        ]
    );
    let [(_, router), (_, database), (_, phone), (_, printer), (_, player)] = assets[..] else {
        panic!("{assets:?}")
    };
    assert_eq!(
        (&router["vendor"], &router["bigr_category"]),
        (&json!("Apple"), &json!("network"))
    );
    assert_eq!(router["services"][0]["product"], "lighttpd");
    assert_eq!(router["services"][0]["version"], "1.4.69");
    assert_eq!(router["services"][1]["tls_names"], json!(["fritz.box"]));
    assert_eq!(
        (&database["hostname"], &database["os_hint"]),
        (&json!("db.lan"), &json!("Linux (Debian)"))
    );
    assert_eq!(
        (&database["bigr_category"], &database["open_ports"]),
        (&json!("server"), &json!([22]))
    );
    assert_eq!(phone["open_ports"], json!([]));
    assert_eq!((&phone["bigr_category"], phone.get("vendor")), (&json!("mobile"), None));
    assert_eq!(
        (&printer["bigr_category"], &printer["hostname"]),
        (&json!("printer"), &json!("printer.local"))
    );
    assert_eq!(
        (&player["bigr_category"], &player["os_hint"]),
        (&json!("media"), &json!("Linux"))
    );
    for (_, asset) in &assets {
        let confidence = asset["confidence_score"].as_f64().unwrap();
        assert!(confidence > 0.0 && confidence < 1.0, "{asset}");
        assert!(asset["evidence"].as_array().unwrap().len() >= 2, "{asset}");
    }
    assert_eq!(host.peeks(), [(at(1, 443), String::new())]);
    assert_eq!(network.borrow().tried.len(), 254 * 20);
}

#[test]
fn nothing_but_sockets_granted_is_enough() {
    install(office());
    let _host = Host::new().remaining(Duration::from_secs(600)).install();
    let parameters = json!({"targets": ["192.168.7.0/28"], "ports": [22, 80, 443]});
    let answer = call::<NetScanSkill>("scan", parameters).unwrap();
    let discovery = &answer["discoveries"][0];
    assert_eq!(discovery.get("network_fingerprint"), None);
    assert_eq!(discovery["ports_scanned"], json!([22, 80, 443]));
    let assets = assets(&answer);
    assert_eq!(assets.len(), 3);
    assert_eq!((assets[0].1.get("mac"), assets[0].1.get("hostname")), (None, None));
    let own = call::<NetScanSkill>("scan", json!({}));
    assert!(
        matches!(&own, Err(Error::Denied(refusal)) if refusal.capability == "lan"),
        "{own:?}"
    );
}

#[test]
fn each_target_is_a_discovery_of_its_own() {
    install(office());
    let _host = host().install();
    let parameters = json!({"targets": ["192.168.7.7", "192.168.7.9/32", "10.0.0.0/30"], "ports": [22, 80]});
    let answer = call::<NetScanSkill>("scan", parameters).unwrap();
    let told: Vec<(&str, usize)> = answer["discoveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["target"].as_str().unwrap(), it["assets"].as_array().unwrap().len()))
        .collect();
    assert_eq!(told, [("192.168.7.7", 1), ("192.168.7.9", 1), ("10.0.0.0/30", 0)]);
}

#[test]
fn what_is_broken_off_has_no_end_and_no_list_of_ports() {
    install(office());
    let caller = host().cancel_after(20).install();
    let answer = call::<NetScanSkill>("scan", json!({"rate": 100})).unwrap();
    let discovery = &answer["discoveries"][0];
    assert_eq!(
        (discovery.get("completed_at"), discovery.get("ports_scanned")),
        (None, None)
    );
    assert_eq!(caller.peeks(), [], "nobody waits for more");
    drop(caller);
    let _gone = host().cancel_after(0).install();
    assert_eq!(call::<NetScanSkill>("scan", json!({})), Err(Error::Cancelled));
}

#[test]
fn wrong_parameters_are_named() {
    let _host = host().install();
    for (parameters, name) in [
        (json!({"targets": ["x"]}), "targets"),
        (json!({"ports": "all"}), "ports"),
        (json!({"rate": 0}), "rate"),
        (json!({"concurrency": 100_000}), "concurrency"),
        (json!({"timeout_ms": 0}), "timeout_ms"),
    ] {
        let answer = call::<NetScanSkill>("scan", parameters);
        assert!(
            matches!(&answer, Err(Error::InvalidParams(why)) if why.contains(name)),
            "{name}: {answer:?}"
        );
    }
}

#[test]
fn it_describes_itself() {
    let description = NetScanSkill::describe();
    assert_eq!(
        (description.name.as_str(), description.methods.len()),
        ("NetScanSkill", 1)
    );
    let schema: Value = serde_json::from_str(&description.methods[0].params_schema).unwrap();
    assert_eq!(schema["properties"]["rate"]["default"], 500);
    assert_eq!(schema["properties"]["ports"]["default"], "top20");
}
