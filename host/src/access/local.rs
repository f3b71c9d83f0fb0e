//! Whether a request names this machine. Over loopback nobody needs a token, so a web page from elsewhere must not be able
//! to send one: it can post to `127.0.0.1` (its `Origin` tells), and make its own name resolve to it (its `Host` tells).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `localhost:8360`, `127.0.0.1`, `[::1]:80`.
pub fn is_local_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if is_port(port) => return is_loopback(name, true),
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost") || is_loopback(name, false)
}

/// `http://localhost:3000`. A page without an origin of its own (`null`) is from elsewhere.
pub fn is_local_origin(origin: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme))
        .is_some_and(is_local_host)
}

fn is_loopback(name: &str, v6: bool) -> bool {
    let address = match v6 {
        true => name.parse::<Ipv6Addr>().map(IpAddr::from),
        false => name.parse::<Ipv4Addr>().map(IpAddr::from),
    };
    address.is_ok_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_and_of_others() {
        for host in [
            "localhost",
            "LocalHost:8360",
            "127.0.0.1:8360",
            "127.8.9.1",
            "[::1]",
            "[::1]:8360",
        ] {
            assert!(is_local_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "evil.example:80@127.0.0.1",
            "localhost:80:80",
            "127.1",
            "0.0.0.0",
            "2130706433",
            "[::1",
            "[::1]evil.example",
            "[::2]",
            "192.168.0.1",
            "localhost@evil.example",
        ] {
            assert!(!is_local_host(host), "{host}");
        }
        assert!(is_local_origin("http://localhost:3000"));
        assert!(is_local_origin("https://127.0.0.1"));
        for origin in [
            "null",
            "http://evil.example",
            "file://localhost",
            "localhost",
            "http://localhost/",
            "http://localhost http://evil.example",
        ] {
            assert!(!is_local_origin(origin), "{origin}");
        }
    }
}
