//! Which ports are tried and how each is looked at. Printers print what they are sent: to theirs not a byte is.

/// The ports tried unless told otherwise, those first that say most about a device.
pub(crate) const TOP_20: [u16; 20] = [
    443, 80, 22, 445, 8080, 53, 139, 3389, 8443, 21, 23, 25, 554, 631, 548, 5900, 1883, 62078, 8000, 5000,
];

/// The further ones of `top100`.
const FURTHER: [u16; 80] = [
    81, 88, 110, 111, 119, 135, 143, 161, 179, 389, 427, 465, 502, 515, 587, 623, 636, 853, 873, 902, 990, 993, 995,
    1080, 1194, 1433, 1521, 1723, 1900, 2049, 2082, 2375, 2376, 3000, 3128, 3268, 3306, 3479, 4443, 4786, 5001, 5060,
    5061, 5222, 5357, 5432, 5555, 5672, 5800, 5985, 5986, 6000, 6379, 6443, 7000, 7547, 8006, 8008, 8009, 8081, 8086,
    8088, 8096, 8123, 8200, 8291, 8728, 8883, 8888, 9000, 9090, 9100, 9200, 9443, 10000, 10001, 11211, 27017, 32400,
    49152,
];

/// The hundred of `top100`.
pub(crate) fn top_100() -> Vec<u16> {
    TOP_20.into_iter().chain(FURTHER).collect()
}

/// LPD and raw printing (`JetDirect`): such a port is connected to when asked for, and nothing is ever sent to it.
pub(crate) fn is_printers(port: u16) -> bool {
    port == 515 || (9100..=9107).contains(&port)
}

/// How a port that took the connection is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Not at all: hang up at once.
    Away,
    /// Wait for what it says by itself.
    Listen,
    /// The same, briefly, then ask by HTTP.
    Ask,
    /// Hang up; a TLS handshake of its own comes later.
    Tls,
}

pub(crate) fn look(port: u16) -> Look {
    match port {
        _ if is_printers(port) => Look::Away,
        443
        | 465
        | 636
        | 853
        | 990
        | 992..=995
        | 2376
        | 3269
        | 4433
        | 4443
        | 5061
        | 5671
        | 5986
        | 6443
        | 8006
        | 8443
        | 8883
        | 9443
        | 10443 => Look::Tls,
        80
        | 81
        | 591
        | 631
        | 2375
        | 3000
        | 5000
        | 5001
        | 5357
        | 5800
        | 5985
        | 7000
        | 7547
        | 8000..=8005
        | 8007..=8100
        | 8123
        | 8200
        | 8888
        | 9000
        | 9090
        | 9200
        | 10000
        | 32400
        | 49152 => Look::Ask,
        // these say nothing before they are spoken to in their own way
        53 | 88 | 111 | 135 | 139 | 161 | 179 | 389 | 427 | 445 | 502 | 548 | 554 | 623 | 873 | 1080 | 1194 | 1433
        | 1521 | 1723 | 1883 | 1900 | 2049 | 3128 | 3268 | 3389 | 5060 | 5222 | 5432 | 5672 | 6000 | 6379 | 8291
        | 8728 | 10001 | 11211 | 27017 | 62078 => Look::Away,
        _ => Look::Listen,
    }
}

/// What usually speaks on a port.
pub(crate) fn usual(port: u16) -> Option<&'static str> {
    Some(match port {
        21 => "ftp",
        22 => "ssh",
        23 => "telnet",
        25 | 587 => "smtp",
        53 => "dns",
        80 | 81 | 8000 | 8008 | 8080 | 8081 | 8888 => "http",
        88 => "kerberos",
        110 => "pop3",
        111 => "rpcbind",
        135 => "msrpc",
        139 => "netbios",
        143 => "imap",
        161 => "snmp",
        179 => "bgp",
        389 | 3268 => "ldap",
        443 | 4443 | 8443 | 9443 => "https",
        445 => "smb",
        465 => "smtps",
        502 => "modbus",
        515 => "lpd",
        548 => "afp",
        554 => "rtsp",
        631 => "ipp",
        636 | 3269 => "ldaps",
        853 => "dns over tls",
        873 => "rsync",
        990 => "ftps",
        993 => "imaps",
        995 => "pop3s",
        1433 => "mssql",
        1521 => "oracle",
        1723 => "pptp",
        1883 => "mqtt",
        2049 => "nfs",
        2375 | 2376 => "docker",
        3128 => "proxy",
        3306 => "mysql",
        3389 => "rdp",
        5060 | 5061 => "sip",
        5222 => "xmpp",
        5432 => "postgresql",
        5672 => "amqp",
        5900 => "vnc",
        5985 | 5986 => "winrm",
        6379 => "redis",
        6443 => "kubernetes",
        7547 => "cwmp",
        8006 => "proxmox",
        8009 => "cast",
        8123 => "home assistant",
        8291 | 8728 => "routeros",
        8883 => "mqtts",
        9100..=9107 => "raw printing",
        9200 => "elasticsearch",
        11211 => "memcached",
        27017 => "mongodb",
        32400 => "plex",
        62078 => "lockdownd",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lists_have_no_port_twice() {
        let all: BTreeSet<u16> = top_100().into_iter().collect();
        assert_eq!(all.len(), 100);
        assert!(!TOP_20.iter().any(|port| is_printers(*port)), "not unless asked for");
    }

    #[test]
    fn printers_are_looked_away_from() {
        for port in [515, 9100, 9101, 9103, 9107] {
            assert!(is_printers(port));
            assert_eq!(look(port), Look::Away, "{port}");
        }
        for port in [514, 516, 9099, 9108] {
            assert!(!is_printers(port), "{port}");
        }
    }
}
