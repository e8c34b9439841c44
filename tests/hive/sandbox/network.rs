//! Ways out through the network.

use anyhow::Result;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::Cage;

/// Words of a refused peer. A mapped IPv4 address is refused as no address at all.
const SHUT: [&str; 4] = ["denied", "access", "permi", "invalid argument"];

/// A peer on loopback that greets whoever comes.
async fn greeter() -> Result<(u16, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let life = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // a peer that went away is none of its business
            let _ = stream.write_all(b"hello").await;
        }
    });
    Ok((port, life))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reachable_without_a_grant() -> Result<()> {
    let cage = Cage::new("").await?;
    let (port, _peer) = greeter().await?;
    cage.refuses("tcp", json!({"address": format!("127.0.0.1:{port}")}), &SHUT)
        .await?;
    cage.refuses("udp", json!({"address": "127.0.0.1:53"}), &SHUT).await?;
    cage.refuses(
        "lookup",
        json!({"name": "localhost"}),
        &["denied", "access", "permi", "fail", "lookup", "resolv"],
    )
    .await?;
    cage.refuses("http", json!({"url": format!("http://127.0.0.1:{port}/")}), &["http"])
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_address_is_reached_and_its_neighbours_are_not() -> Result<()> {
    let (port, _peer) = greeter().await?;
    let cage = Cage::new(&format!("net = [{{ to = '127.0.0.1/32', ports = ['{port}'] }}]")).await?;
    let open = cage
        .try_to("tcp", json!({"address": format!("127.0.0.1:{port}")}))
        .await?;
    assert!(
        open.result["detail"]
            .as_str()
            .is_some_and(|said| said.contains("hello")),
        "{open:?}"
    );
    let other_port = if port == u16::MAX { port - 1 } else { port + 1 };
    for address in [
        format!("127.0.0.1:{other_port}"),
        format!("127.0.0.2:{port}"),
        format!("[::ffff:127.0.0.2]:{port}"),
        format!("[::1]:{port}"),
        "169.254.169.254:80".to_owned(),
        "[::ffff:169.254.169.254]:80".to_owned(),
        format!("0.0.0.0:{port}"),
    ] {
        cage.refuses("tcp", json!({"address": address}), &SHUT).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_grant_does_not_open_loopback_metadata_or_the_nexus() -> Result<()> {
    let cage = Cage::new("net = [{ to = '0.0.0.0/0', ports = ['*'] }, { to = '::/0', ports = ['*'] }]").await?;
    let (port, _peer) = greeter().await?;
    let nexus = cage._hive.address();
    for address in [
        format!("127.0.0.1:{port}"),
        nexus.to_string(),
        "169.254.169.254:80".to_owned(),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[::1]:{port}"),
    ] {
        cage.refuses("tcp", json!({"address": address}), &SHUT).await?;
    }
    Ok(())
}

/// A name that was granted and turns out to be an address that was not: what DNS rebinding comes down to.
#[tokio::test(flavor = "multi_thread")]
async fn a_granted_name_that_resolves_to_loopback_is_not_connected_to() -> Result<()> {
    let (port, _peer) = greeter().await?;
    let policy = format!(
        "net = [{{ to = 'localhost', ports = ['{port}'] }}]\nhttp = [{{ host = 'localhost:{port}', plain = true }}]"
    );
    let cage = Cage::new(&policy).await?;
    cage.refuses(
        "tcp",
        json!({"address": format!("localhost:{port}")}),
        &["denied", "access", "permi", "fail"],
    )
    .await?;
    cage.refuses(
        "http",
        json!({"url": format!("http://localhost:{port}/")}),
        &["127.0.0.1", "::1", "address"],
    )
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() -> Result<()> {
    let cage = Cage::new("net = [{ to = '127.0.0.0/8', ports = ['*'], protocols = ['tcp', 'udp'] }]").await?;
    cage.refuses("listen", json!({"address": "0.0.0.0:0"}), &SHUT).await?;
    cage.refuses("listen", json!({"address": "127.0.0.1:0"}), &SHUT).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted() -> Result<()> {
    let (port, _peer) = greeter().await?;
    let policy = format!("net = [{{ to = '127.0.0.1/32', ports = ['{port}'] }}]\nbudgets = {{ connections = 3 }}");
    let cage = Cage::new(&policy).await?;
    let flood = json!({"address": format!("127.0.0.1:{port}"), "count": 100});
    let why = cage.refuses("tcp_flood", flood, &["3 of 100", "connections"]).await?;
    assert!(!why.contains("100 of 100"), "{why}");
    Ok(())
}

/// The server sends the skill to the metadata address: the redirect is shown, not followed, and going there by hand is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_metadata_is_not_followed() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let _server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let host = format!("127.0.0.1:{port}");
    let policy = format!(
        "http = [{{ host = '{host}', plain = true, addresses = ['127.0.0.1/32'] }}, {{ host = '169.254.169.254:80', plain = true }}]"
    );
    let cage = Cage::new(&policy).await?;
    let shown = cage.try_to("http", json!({"url": format!("http://{host}/")})).await?;
    let said = shown.result["detail"].as_str().unwrap_or_default();
    assert!(
        said.contains("status 302") && said.contains("169.254.169.254"),
        "{shown:?}"
    );
    cage.refuses(
        "http",
        json!({"url": "http://169.254.169.254/latest/meta-data/"}),
        &["169.254.169.254"],
    )
    .await?;
    cage.refuses("http", json!({"url": "http://[::ffff:169.254.169.254]/"}), &["http"])
        .await?;
    Ok(())
}
