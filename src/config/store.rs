//! `store`: where Nightbell remembers what it saw and what is pending. Knows how an address is written, and nothing of what
//! is behind it.

use std::path::PathBuf;

use super::sources::check_file;
use crate::secret::SecretRef;
use crate::store::{StoreAddress, TLS_MODES};
use crate::yaml::{Key, Keys, Node, Origin, Section, Shape, Value};

/// `store`, where it is more than an address.
pub(super) static STORE: Keys = Keys::of(
    "store",
    "The database, where it takes more than an address.",
    &[&[
        Key::new("url", Shape::Other("sqlite://PATH or postgres://USER@HOST/DATABASE", address), "Its address.")
            .required()
            .example("postgres://nightbell@db.example.com/nightbell"),
        Key::new("password", Shape::Secret, "The password of the user in the address.")
            .example("{ env: NIGHTBELL_DB_PASSWORD }"),
        Key::new(
            "sslmode",
            Shape::Word(|| TLS_MODES.to_vec()),
            "How the connection to a server is protected; verify-full unless the server is on this machine.",
        ),
        Key::new("ca_file", Shape::Text, "PEM certificates to trust beside the system's."),
    ]],
);

/// An address as a schema.
fn address() -> serde_json::Value {
    serde_json::json!({ "type": "string", "pattern": r"^sqlite://[^?]+$|^postgres(ql)?://.+/.+$|\$\{" })
}

/// Reads `store`: an address, or a mapping with one.
pub(super) fn read(file: &Section<'_>) -> StoreAddress {
    let Some(node) = file.node("store") else { return StoreAddress::new(file.or_default::<String>("store")) };
    // Without the value it is not known, and the default would be another store.
    if node.is_unresolved() {
        return StoreAddress::default();
    }
    if !matches!(node.value, Value::Map(_)) {
        let url = file.or_default::<String>("store");
        check(file, "store", &url, node);
        return StoreAddress::new(url);
    }
    let Some(section) = Section::of(&STORE, node, file.path_of("store"), file.findings()) else {
        return StoreAddress::default();
    };
    let is_unresolved = section.node("url").is_some_and(Node::is_unresolved);
    let url = section.required::<String>("url").unwrap_or_default();
    let password = section.optional::<SecretRef>("password");
    let mode = section.optional::<String>("sslmode");
    if let Some(mode) = mode.as_ref().filter(|mode| !TLS_MODES.contains(&mode.as_str())) {
        section.error(
            "sslmode",
            format!("{mode:?} is not a valid sslmode"),
            Some(format!("write one of {}", TLS_MODES.join(", "))),
        );
    }
    let ca_file = section.optional::<PathBuf>("ca_file");
    check_file(&section, "ca_file");
    if let Some(node) = section.node("url").filter(|_| !url.is_empty() && !is_unresolved) {
        check(&section, "url", &url, node);
        if url.starts_with("sqlite:") {
            for key in ["password", "sslmode", "ca_file"].into_iter().filter(|key| section.has(key)) {
                section.error(key, "a file has none", Some("this is for a PostgreSQL server".into()));
            }
        }
    }
    section.close();
    if is_unresolved {
        return StoreAddress::default();
    }
    let mut address = StoreAddress::new(url);
    if let Some(password) = password {
        address = address.with_password(password);
    }
    if let Some(mode) = mode {
        address = address.with_tls(mode);
    }
    ca_file.map_or(address.clone(), |file| address.with_ca_file(file))
}

/// Says what is wrong with the address in `key`. The value is not repeated: it can hold a password.
fn check(section: &Section<'_>, key: &'static str, url: &str, node: &Node) {
    let example =
        || Some("write sqlite://PATH, as in sqlite://nightbell.db, or postgres://USER@HOST/DATABASE".to_string());
    match url.split_once("://") {
        Some(("sqlite", path)) if path.is_empty() || path.contains('?') => {
            section.error(key, "sqlite:// needs the path of a file, and takes no options", example());
        }
        Some(("sqlite", _)) => {}
        Some(("postgres" | "postgresql", rest)) => {
            check_server(section, key, rest, example());
            let has_password = rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
            // One that a variable brings is not in the file.
            if has_password && matches!(&node.value, Value::Scalar(scalar) if scalar.origin == Origin::File) {
                let help = "write store: { url: postgres://USER@HOST/DATABASE, password: { env: NAME } }";
                section.warning(key, "a password in plain text", Some(help.into()));
            }
        }
        _ => section.error(key, "this is not a valid address of a store", example()),
    }
}

fn check_server(section: &Section<'_>, key: &'static str, rest: &str, example: Option<String>) {
    let (server, options) = rest.split_once('?').unwrap_or((rest, ""));
    if server.rsplit_once('/').is_none_or(|(_, database)| database.is_empty()) {
        section.error(key, "postgres:// needs the name of a database", example);
    }
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let is_known = match name {
            "sslmode" => TLS_MODES.contains(&value),
            "sslrootcert" | "sslcert" | "sslkey" | "host" => !value.is_empty(),
            _ => false,
        };
        if !is_known {
            let help =
                format!("the options are sslmode ({}), sslrootcert, sslcert, sslkey, host", TLS_MODES.join(", "));
            let message = format!("the option {name:?} is unknown, or has no value that it can have");
            section.error(key, message, Some(help));
        }
    }
}
