//! What a port said, read: service, product, version, and what it gives away of its system. Pure; whatever strangers
//! wrote is cut and freed of control characters before it goes anywhere.

/// Longest banner and longest word passed on.
const LONGEST: usize = 256;
const LONGEST_WORD: usize = 64;

/// What a banner says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) service: Option<&'static str>,
    pub(crate) product: Option<String>,
    pub(crate) version: Option<String>,
    /// The first line.
    pub(crate) banner: Option<String>,
    /// The system it runs on.
    pub(crate) system: Option<&'static str>,
}

/// Reads what port `port` said; nothing for nothing.
pub(crate) fn read(port: u16, said: &[u8]) -> Option<Said> {
    if said.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(said);
    let first = tame(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default());
    let mut read = if let Some(rest) = first.strip_prefix("SSH-") {
        ssh(rest)
    } else if first.starts_with("HTTP/") || first.starts_with("RTSP/") {
        http(&text, first.starts_with("RTSP/"))
    } else if first.starts_with("220") {
        greeting_220(port, &first)
    } else if first.starts_with("+OK") {
        named("pop3", &first)
    } else if first.starts_with("* OK") || first.starts_with("* PREAUTH") {
        named("imap", &first)
    } else if let Some(version) = first.strip_prefix("RFB ") {
        Said {
            service: Some("vnc"),
            version: word(version),
            ..Said::default()
        }
    } else if said.first() == Some(&0xff) && port == 23 {
        // options are negotiated before anything is said
        return Some(Said {
            service: Some("telnet"),
            ..Said::default()
        });
    } else if let Some(mysql) = mysql(said) {
        return Some(mysql);
    } else {
        Said::default()
    };
    read.system = system(&first)
        .or_else(|| read.product.as_deref().and_then(system))
        .or(read.system);
    read.banner = Some(first).filter(|line| !line.is_empty());
    Some(read)
}

/// `2.0-OpenSSH_9.2p1 Debian-2+deb12u3`
fn ssh(rest: &str) -> Said {
    let software = rest.split_once('-').map_or("", |(_, software)| software);
    let software = software.split_whitespace().next().unwrap_or_default();
    let (product, version) = match software.split_once('_') {
        Some((product, version)) => (product, word(version.strip_prefix("for_Windows_").unwrap_or(version))),
        None => match software.rsplit_once('-') {
            Some((product, version)) if version.starts_with(|first: char| first.is_ascii_digit()) => {
                (product, word(version))
            }
            _ => (software, None),
        },
    };
    Said {
        service: Some("ssh"),
        product: word(product),
        version,
        ..Said::default()
    }
}

/// The `Server` header: `nginx/1.22.1`, `Apache/2.4.57 (Debian)`, `Microsoft-IIS/10.0`.
fn http(text: &str, is_rtsp: bool) -> Said {
    let server = text.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("server").then(|| tame(value))
    });
    let server = server.unwrap_or_default();
    let first = server.split_whitespace().next().unwrap_or_default();
    let (product, version) = first
        .split_once('/')
        .map_or((first, None), |(product, version)| (product, word(version)));
    Said {
        service: Some(if is_rtsp { "rtsp" } else { "http" }),
        product: word(product),
        version,
        system: system(&server),
        ..Said::default()
    }
}

/// FTP and SMTP greet alike; SMTP says so, or is where mail is.
fn greeting_220(port: u16, line: &str) -> Said {
    let upper = line.to_ascii_uppercase();
    let is_mail = upper.contains("SMTP") || matches!(port, 25 | 587 | 2525);
    let mut said = named(if is_mail { "smtp" } else { "ftp" }, line);
    // `220 (vsFTPd 3.0.3)`, `220 ProFTPD 1.3.8 Server`
    if let Some(product) = &said.product {
        let after = line.split(product.as_str()).nth(1).unwrap_or_default();
        let next = after
            .trim_start_matches([' ', '/', '_', '-'])
            .split([' ', ')', ']', ','])
            .next();
        said.version = next
            .filter(|next| next.starts_with(|first: char| first.is_ascii_digit()))
            .and_then(word);
    }
    said
}

/// A service whose greeting names what it runs.
fn named(service: &'static str, line: &str) -> Said {
    const PRODUCTS: [&str; 17] = [
        "vsFTPd",
        "ProFTPD",
        "Pure-FTPd",
        "FileZilla",
        "Microsoft FTP Service",
        "Postfix",
        "Exim",
        "Sendmail",
        "OpenSMTPD",
        "Microsoft ESMTP",
        "Haraka",
        "Dovecot",
        "Cyrus",
        "Courier",
        "hMailServer",
        "Zimbra",
        "MikroTik",
    ];
    let lower = line.to_ascii_lowercase();
    let product = PRODUCTS
        .iter()
        .find(|product| lower.contains(&product.to_ascii_lowercase()));
    Said {
        service: Some(service),
        product: product.map(|product| {
            // as it is written there, so that what follows can be found
            let at = lower.find(&product.to_ascii_lowercase()).unwrap_or(0);
            line.get(at..at + product.len()).unwrap_or(product).to_owned()
        }),
        ..Said::default()
    }
}

/// The handshake of MySQL's protocol 10: length, sequence 0, 10, version ended by zero.
fn mysql(said: &[u8]) -> Option<Said> {
    let [_, _, _, 0, 10, rest @ ..] = said else {
        return None;
    };
    let version = rest.split(|byte| *byte == 0).next()?;
    let version = String::from_utf8_lossy(version);
    let maria = version.contains("MariaDB");
    // what MariaDB says before its own version, so that old clients take it for a MySQL they know
    let version = version.strip_prefix("5.5.5-").filter(|_| maria).unwrap_or(&version);
    Some(Said {
        service: Some("mysql"),
        product: Some(if maria { "MariaDB" } else { "MySQL" }.to_owned()),
        version: word(version.split('-').find(|part| part.contains('.')).unwrap_or(version)),
        system: system(version),
        ..Said::default()
    })
}

/// The system that a text gives away.
pub(crate) fn system(text: &str) -> Option<&'static str> {
    const SYSTEMS: [(&str, &str); 22] = [
        ("raspbian", "Linux (Raspberry Pi OS)"),
        ("ubuntu", "Linux (Ubuntu)"),
        ("debian", "Linux (Debian)"),
        ("deb1", "Linux (Debian)"),
        ("fedora", "Linux (Fedora)"),
        ("centos", "Linux (CentOS)"),
        ("red hat", "Linux (Red Hat)"),
        ("alpine", "Linux (Alpine)"),
        ("synology", "Linux (Synology DSM)"),
        ("qnap", "Linux (QNAP)"),
        ("openwrt", "Linux (OpenWrt)"),
        ("freebsd", "FreeBSD"),
        ("openbsd", "OpenBSD"),
        ("routeros", "RouterOS"),
        ("mikrotik", "RouterOS"),
        ("for_windows", "Windows"),
        ("microsoft", "Windows"),
        ("windows", "Windows"),
        ("win32", "Windows"),
        ("darwin", "macOS"),
        ("cisco", "Cisco IOS"),
        ("dropbear", "Linux"),
    ];
    let lower = text.to_ascii_lowercase();
    SYSTEMS
        .iter()
        .find(|(sign, _)| lower.contains(sign))
        .map(|(_, system)| *system)
}

/// Without control characters, and not too long.
pub(crate) fn tame(text: &str) -> String {
    let tame: String = text
        .chars()
        .filter(|character| !character.is_control())
        .take(LONGEST)
        .collect();
    tame.trim().to_owned()
}

fn word(text: &str) -> Option<String> {
    let word: String = text.trim().chars().take(LONGEST_WORD).collect();
    Some(word).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(port: u16, said: &str) -> (String, String, String, String) {
        let said = read(port, said.as_bytes()).unwrap();
        (
            said.service.unwrap_or_default().to_owned(),
            said.product.unwrap_or_default(),
            said.version.unwrap_or_default(),
            said.system.unwrap_or_default().to_owned(),
        )
    }

    #[test]
    fn banners_are_read() {
        for (port, said, service, product, version, system) in [
            (
                22,
                "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
                "ssh",
                "OpenSSH",
                "9.2p1",
                "Linux (Debian)",
            ),
            (
                22,
                "SSH-2.0-OpenSSH_for_Windows_8.1\r\n",
                "ssh",
                "OpenSSH",
                "8.1",
                "Windows",
            ),
            (
                2222,
                "SSH-2.0-dropbear_2022.83\r\n",
                "ssh",
                "dropbear",
                "2022.83",
                "Linux",
            ),
            (22, "SSH-2.0-ROSSSH\r\n", "ssh", "ROSSSH", "", ""),
            (22, "SSH-1.99-Cisco-1.25\r\n", "ssh", "Cisco", "1.25", "Cisco IOS"),
            (
                80,
                "HTTP/1.1 200 OK\r\nserver: nginx/1.22.1\r\n\r\n",
                "http",
                "nginx",
                "1.22.1",
                "",
            ),
            (
                8080,
                "HTTP/1.1 404 Not Found\r\nServer: Apache/2.4.57 (Debian)\r\n\r\n",
                "http",
                "Apache",
                "2.4.57",
                "Linux (Debian)",
            ),
            (
                80,
                "HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/10.0\r\n\r\n",
                "http",
                "Microsoft-IIS",
                "10.0",
                "Windows",
            ),
            (80, "HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n", "http", "", "", ""),
            (
                554,
                "RTSP/1.0 200 OK\r\nServer: Hipcam/1\r\n\r\n",
                "rtsp",
                "Hipcam",
                "1",
                "",
            ),
            (21, "220 (vsFTPd 3.0.3)\r\n", "ftp", "vsFTPd", "3.0.3", ""),
            (
                21,
                "220 ProFTPD 1.3.8 Server (x) [10.0.0.1]\r\n",
                "ftp",
                "ProFTPD",
                "1.3.8",
                "",
            ),
            (21, "220-FileZilla Server 1.7.0\r\n", "ftp", "FileZilla", "", ""),
            (
                25,
                "220 mail.example ESMTP Postfix (Ubuntu)\r\n",
                "smtp",
                "Postfix",
                "",
                "Linux (Ubuntu)",
            ),
            (
                2626,
                "220 mail.example ESMTP Exim 4.96 Mon\r\n",
                "smtp",
                "Exim",
                "4.96",
                "",
            ),
            (110, "+OK Dovecot ready.\r\n", "pop3", "Dovecot", "", ""),
            (
                143,
                "* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n",
                "imap",
                "Dovecot",
                "",
                "",
            ),
            (5900, "RFB 003.008\n", "vnc", "", "003.008", ""),
            (
                3306,
                "J\0\0\0\u{a}5.5.5-10.11.6-MariaDB-0+deb12u1\0x",
                "mysql",
                "MariaDB",
                "10.11.6",
                "Linux (Debian)",
            ),
            (3306, "J\0\0\0\u{a}8.0.36\0x", "mysql", "MySQL", "8.0.36", ""),
            (7777, "hello\n", "", "", "", ""),
        ] {
            let expected = (
                service.to_owned(),
                product.to_owned(),
                version.to_owned(),
                system.to_owned(),
            );
            assert_eq!(told(port, said), expected, "{said}");
        }
    }

    #[test]
    fn nothing_is_read_from_nothing_and_nonsense_does_no_harm() {
        assert_eq!(read(22, b""), None);
        assert_eq!(read(23, b"\xff\xfd\x18").unwrap().service, Some("telnet"));
        for odd in [
            &b"\0"[..],
            b"SSH-",
            b"SSH-2.0-",
            b"HTTP/",
            b"220",
            b"\xff\xff\n\xfe",
            b"J\0\0\0\x0a",
            b"220 \xf0\x9f\x98\x80vsftpd",
        ] {
            let said = read(1, odd).unwrap();
            assert!(said.banner.unwrap_or_default().len() <= 4 * LONGEST);
        }
        let long = read(1, format!("\u{1b}[31m{}", "x".repeat(9_999)).as_bytes()).unwrap();
        assert_eq!(long.banner.unwrap().len(), LONGEST);
    }
}
