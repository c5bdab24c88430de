//! Which proxy a request goes through, by the environment: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`.
//!
//! Reads the environment once. A proxy that cannot be used is an error, never passed by: what is meant to go through it
//! may not go anywhere else.

use std::net::IpAddr;

use reqwest::Url;

use crate::secret::{Secret, Secrets};

/// The schemes that a proxy can have.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The proxies of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    direct: Vec<String>,
}

impl Proxies {
    /// The proxies that `lookup` tells of, which gives the value of an environment variable.
    ///
    /// # Errors
    /// When one of them cannot be used. The message names the variable and holds no credentials.
    pub(super) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Proxies, String> {
        let value = |name: &str| lookup(name).map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
        // In a CGI program HTTP_PROXY is a header that anybody may send.
        let is_cgi = value("REQUEST_METHOD").is_some();
        let proxy = |names: &[&str]| {
            let mut known = names.iter().filter(|name| !(is_cgi && **name == "HTTP_PROXY"));
            let named = known.find_map(|name| Some((*name, value(name)?)));
            named.map(|(name, text)| parsed(&text).map_err(|reason| format!("{name}: {reason}"))).transpose()
        };
        let direct = value("no_proxy").or_else(|| value("NO_PROXY")).unwrap_or_default();
        Ok(Proxies {
            http: proxy(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
            https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            direct: direct.split([',', ' ']).filter(|entry| !entry.is_empty()).map(str::to_ascii_lowercase).collect(),
        })
    }

    /// The proxy for a request to this address.
    pub(super) fn of(&self, url: &Url) -> Option<Url> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = url.port_or_known_default();
        let is_direct = self.direct.iter().any(|entry| is_named(entry, &host, port));
        proxy.clone().filter(|_| !is_direct)
    }

    /// The credentials in the proxies' addresses.
    pub(super) fn secrets(&self) -> Secrets {
        let proxies = [&self.http, &self.https].into_iter().flatten();
        let passwords: Vec<Secret> = proxies.filter_map(|url| url.password()).map(Secret::new).collect();
        passwords.iter().collect()
    }
}

/// Whether the environment names a proxy for what is not plain HTTP.
pub(crate) fn names_proxy() -> bool {
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    names.iter().any(|name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty()))
}

fn parsed(text: &str) -> Result<Url, String> {
    let with_scheme = if text.contains("://") { text.to_string() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).map_err(|error| format!("the proxy's address is not valid: {error}"))?;
    if !SCHEMES.contains(&url.scheme()) {
        return Err(format!("a proxy cannot be reached by {:?}; use one of {}", url.scheme(), SCHEMES.join(", ")));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the proxy's address names no host".to_string());
    }
    Ok(url)
}

/// Whether an entry of `no_proxy` names the host: itself, one of its parent domains, its address or network, or all.
fn is_named(entry: &str, host: &str, port: Option<u16>) -> bool {
    if entry == "*" {
        return true;
    }
    let (name, only_port) = split_port(entry);
    if only_port.is_some() && only_port != port {
        return false;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return name.parse() == Ok(address) || is_in_network(name, address);
    }
    let name = name.trim_start_matches("*.").trim_start_matches('.');
    let host = host.trim_end_matches('.');
    host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

/// A name, and the port behind it; `[::1]:80`, `::1`, `host:80`.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((name, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (name, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port.parse().ok()),
        _ => (entry, None),
    }
}

fn is_in_network(network: &str, address: IpAddr) -> bool {
    let Some((base, bits)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let same = |a: u128, b: u128, all: u32| bits <= all && (bits == 0 || (a ^ b) >> (all - bits) == 0);
    match (base, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, String> {
        Proxies::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn no_proxy_names_hosts_domains_addresses_and_networks() {
        let table: &[(&str, &str, bool)] = &[
            ("", "https://example.com", false),
            ("*", "https://example.com", true),
            ("*", "https://10.1.2.3", true),
            ("a,*", "https://[::1]", true),
            ("example.com", "https://hook.example.com", true),
            (".example.com", "https://example.com", true),
            ("*.example.com", "https://hook.example.com", true),
            ("ample.com", "https://example.com", false),
            ("10.1.2.3", "https://10.1.2.3", true),
            ("10.1.2.3", "https://10.1.2.33", false),
            ("10.1.2.3:8443", "https://10.1.2.3:8443", true),
            ("10.1.2.3:8443", "https://10.1.2.3", false),
            ("10.0.0.0/8", "https://10.200.0.1", true),
            ("10.0.0.0/8", "https://11.0.0.1", false),
            ("::1", "https://[::1]:8443", true),
            ("[::1]:443", "https://[::1]", true),
            ("fd00::/8", "https://[fd12::1]", true),
            ("localhost 127.0.0.1", "http://127.0.0.1:1", true),
        ];
        for (direct, url, is_direct) in table {
            let proxies = proxies(&[("all_proxy", "proxy:3128"), ("no_proxy", direct)]).unwrap();
            assert_eq!(proxies.of(&url.parse().unwrap()).is_none(), *is_direct, "{direct} {url}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error() {
        for (name, value, words) in [
            ("https_proxy", "ftp://proxy:21", "\"ftp\""),
            ("HTTP_PROXY", "http://", "not valid"),
            ("ALL_PROXY", "http://user:canary@pro xy:1", "not valid"),
        ] {
            let error = proxies(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(name) && error.contains(words) && !error.contains("canary"), "{error}");
        }
        let socks = proxies(&[("https_proxy", "socks5h://u:canary@proxy:1080"), ("http_proxy", " ")]).unwrap();
        assert_eq!(socks.of(&"https://x".parse().unwrap()).unwrap().scheme(), "socks5h");
        assert_eq!(socks.of(&"http://x".parse().unwrap()), None);
        assert_eq!(socks.secrets().redact("canary"), "<secret>");
        let cgi = proxies(&[("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "GET")]).unwrap();
        assert_eq!(cgi, Proxies::default());
    }
}
