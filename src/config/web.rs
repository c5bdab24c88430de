//! `web`: where the page and the API are served, and who may look and act.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::model::Role;
use crate::yaml::{FromYaml as _, Key, Keys, Located, Node, Section, Shape, Value, closest};

/// `web`.
pub(super) static WEB: Keys = Keys::of(
    "web",
    "The page, the API and the metrics: where they are served and who may look.",
    &[&[
        Key::new("listen", Shape::Text, "The address and the port.").required().example("\"127.0.0.1:8910\""),
        Key::new("url", Shape::Text, "How people reach it: links in messages begin with it.")
            .example("https://nightbell.example.com"),
        Key::new(
            "tokens",
            Shape::Flag,
            "Whether people may sign in with a token that `nightbell token create --name NAME` makes.",
        )
        .default("false"),
        Key::new("trusted_proxy", Shape::Mapping(&PROXY), "A proxy that has people sign in and says who they are."),
    ]],
);

/// `trusted_proxy` of `web`.
static PROXY: Keys = Keys::of(
    "trusted_proxy",
    "A proxy that has people sign in and says who they are.",
    &[&[
        Key::new("from", Shape::Texts, "The addresses that the proxy asks from.")
            .required()
            .example("[10.0.0.5, 10.1.0.0/16]"),
        Key::new("header", Shape::Text, "The header with the person's name.").default("X-Forwarded-User"),
        Key::new("role", Shape::Word(roles), "What everybody may who comes through it.").default("viewer"),
    ]],
);

fn roles() -> Vec<&'static str> {
    Role::ALL.map(Role::as_str).to_vec()
}

/// Where the page and the API are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSettings {
    /// The address that is listened on.
    pub listen: SocketAddr,
    /// How people reach it, without a slash at the end: links in messages begin with it.
    pub url: Option<String>,
    /// Whether whoever asks may show a token that `nightbell token create` has made.
    pub tokens: bool,
    /// The proxy that says who asks.
    pub trusted_proxy: Option<TrustedProxy>,
}

/// A proxy that has people sign in, and says who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxy {
    /// From where it asks.
    pub from: Vec<IpNet>,
    /// The header with the person's name, in lower case.
    pub header: String,
    /// What everybody may who comes through it.
    pub role: Role,
}

impl WebSettings {
    /// Whether whoever reaches the address may do everything: only on the machine itself.
    pub fn is_open(&self) -> bool {
        !self.tokens && self.trusted_proxy.is_none()
    }

    /// Whether people reach it over TLS, which a proxy ends.
    pub fn is_over_tls(&self) -> bool {
        self.url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// On a port of this machine that nobody uses, open to whoever is on it.
    pub fn anywhere() -> WebSettings {
        WebSettings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), url: None, tokens: false, trusted_proxy: None }
    }
}

impl TrustedProxy {
    /// Whether requests from this address come from it.
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.from.iter().any(|net| net.contains(&address.to_canonical()))
    }
}

/// Reads `web`; none where it is not written, or cannot be used.
pub(super) fn read(file: &Section<'_>) -> Option<WebSettings> {
    let section = file.section("web")?;
    let listen = read_listen(&section);
    let url = read_url(&section);
    let tokens = section.or_default::<bool>("tokens");
    let trusted_proxy = section.section("trusted_proxy").and_then(|proxy| read_proxy(&proxy));
    let has_proxy = section.has("trusted_proxy");
    if let Some(listen) = listen
        && !listen.ip().is_loopback()
        && !tokens
        && !has_proxy
    {
        let help =
            "write tokens: true and make one by `nightbell token create`, name a trusted_proxy, or listen on 127.0.0.1";
        section.error("listen", format!("whoever reaches {listen} could silence alerts"), Some(help.into()));
    }
    section.close();
    Some(WebSettings { listen: listen?, url, tokens, trusted_proxy })
}

fn read_listen(section: &Section<'_>) -> Option<SocketAddr> {
    let text = section.required::<String>("listen")?;
    let address = text.trim().replace("localhost:", "127.0.0.1:").parse().ok();
    if address.is_none() {
        let help = Some("write an address and a port, as in \"127.0.0.1:8910\"".to_string());
        section.error("listen", format!("{text:?} is not a valid address to listen on"), help);
    }
    address
}

fn read_url(section: &Section<'_>) -> Option<String> {
    let text = section.optional::<String>("url")?;
    let url = text.trim().trim_end_matches('/');
    let authority = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |text: &str| !text.is_empty() && !text.contains(['/', '?', '#', '@', ' ', '"', '<', '>', '\\']);
    if !authority.is_some_and(is_plain) {
        let help = Some("write how people reach it, as in https://nightbell.example.com, without a path".to_string());
        section.error("url", format!("{text:?} is not a valid address of a page"), help);
        return None;
    }
    Some(url.to_string())
}

fn read_proxy(section: &Section<'_>) -> Option<TrustedProxy> {
    if !section.has("from") {
        section.error("", "the key \"from\" is missing", Some("name the addresses that the proxy asks from".into()));
    }
    let from = section.node("from").map(|node| read_networks(section, node)).unwrap_or_default();
    let header = section.or_default::<String>("header").to_ascii_lowercase();
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name(&header) {
        section.error("header", format!("{header:?} is not a valid name of a header"), None);
    }
    let word = section.or_default::<String>("role");
    let role = Role::from_word(&word);
    if role.is_none() {
        let known = Role::ALL.map(Role::as_str);
        let help = closest(&word, known)
            .map_or_else(|| format!("write {}", known.join(" or ")), |near| format!("did you mean {near:?}?"));
        section.error("role", format!("{word:?} is not a valid role"), Some(help));
    }
    section.report_unknown();
    Some(TrustedProxy { from, header, role: role? })
}

fn read_networks(section: &Section<'_>, node: &Node) -> Vec<IpNet> {
    let items: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if items.is_empty() {
        section.error("from", "the list is empty", Some("name the addresses that the proxy asks from".into()));
    }
    let path = section.path_of("from");
    let read = |node: &Node| {
        let located = Located { node, path: &path, findings: section.findings() };
        let text = String::from_yaml(located)?;
        let net = text.trim().parse::<IpNet>().ok().or_else(|| Some(IpNet::from(text.trim().parse::<IpAddr>().ok()?)));
        let help = Some("write 10.0.0.5 or 10.0.0.0/24".to_string());
        net.or_else(|| located.wrong(format!("{text:?} is not a valid address"), help))
    };
    items.into_iter().filter_map(read).collect()
}
