//! Where a store is: a file, or a database on a server with what it takes to be let in.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::StoreError;
use crate::secret::{Secret, SecretRef};

/// Where a store is. Prints without a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreAddress {
    url: String,
    password: Option<Password>,
    tls: Option<String>,
    ca_file: Option<PathBuf>,
}

/// Where the password is found.
#[derive(Clone)]
struct Password(SecretRef);

impl PartialEq for Password {
    fn eq(&self, other: &Password) -> bool {
        match (&self.0, &other.0) {
            (SecretRef::Env(one), SecretRef::Env(other)) => one == other,
            (SecretRef::File(one), SecretRef::File(other)) => one == other,
            (SecretRef::Inline(one), SecretRef::Inline(other)) => one.expose() == other.expose(),
            _ => false,
        }
    }
}

impl Eq for Password {}

/// What kind of store it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Server,
}

/// The ways of TLS to a server, as PostgreSQL names them.
pub const TLS_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

impl StoreAddress {
    /// The store at `sqlite://PATH` or `postgres://USER@HOST/DATABASE`.
    pub fn new(url: impl Into<String>) -> StoreAddress {
        StoreAddress { url: url.into(), ..StoreAddress::default() }
    }

    /// The same with the password that is found there when a connection is made.
    #[must_use]
    pub fn with_password(self, password: SecretRef) -> StoreAddress {
        StoreAddress { password: Some(Password(password)), ..self }
    }

    /// The same with one of [`TLS_MODES`].
    #[must_use]
    pub fn with_tls(self, mode: impl Into<String>) -> StoreAddress {
        StoreAddress { tls: Some(mode.into()), ..self }
    }

    /// The same, whose server shows a certificate that the authorities in this file have signed.
    #[must_use]
    pub fn with_ca_file(self, file: PathBuf) -> StoreAddress {
        StoreAddress { ca_file: Some(file), ..self }
    }

    /// Whether several processes can work on it.
    pub fn is_shared(&self) -> bool {
        self.kind() == Ok(Kind::Server)
    }

    /// Whether it is said where the store is.
    pub fn is_known(&self) -> bool {
        !self.url.is_empty()
    }

    /// The path, where it is a file.
    pub fn file(&self) -> Option<&str> {
        self.url.strip_prefix("sqlite://")
    }

    /// What kind of store it is.
    pub(super) fn kind(&self) -> Result<Kind, StoreError> {
        let url = self.place();
        match self.url.split_once("://") {
            Some(("sqlite", "" | "/" | ":memory:")) => {
                Err(StoreError::Unusable(format!("store {url:?} names no file; write sqlite://nightbell.db")))
            }
            Some(("sqlite", path)) if path.contains('?') => {
                Err(StoreError::Unusable(format!("store {url:?}: a store takes no parameters")))
            }
            Some(("sqlite", path)) => Ok(Kind::File(PathBuf::from(path))),
            Some(("postgres" | "postgresql", rest)) => {
                match rest.split('?').next().and_then(|path| path.rsplit_once('/')) {
                    Some((_, database)) if !database.is_empty() => Ok(Kind::Server),
                    _ => Err(StoreError::Unusable(format!(
                        "store {url:?} names no database; write postgres://USER@HOST/DATABASE"
                    ))),
                }
            }
            _ => Err(StoreError::Unusable(format!("store {url:?} is not of the form sqlite://nightbell.db"))),
        }
    }

    /// The address for messages: nothing of how one is let in.
    pub fn place(&self) -> String {
        let (url, _) = self.url.split_once('?').filter(|_| !self.url.starts_with("sqlite:")).unwrap_or((&self.url, ""));
        match url.split_once("://") {
            Some((scheme @ ("postgres" | "postgresql"), rest)) => {
                let bare = rest.rsplit_once('@').map_or(rest, |(_, bare)| bare);
                format!("{scheme}://{bare}")
            }
            _ => url.to_string(),
        }
    }

    /// The URL that the driver takes, password and all, with these further parameters.
    pub(super) fn to_driver(&self, parameters: &[(String, String)]) -> Result<Secret, StoreError> {
        let mut url = self.url.clone();
        let mut add = |name: &str, value: &str| {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        };
        if let Some(Password(password)) = &self.password {
            let secret = password.resolve();
            add("password", secret.map_err(|error| self.misconfigured(format!("its password: {error}")))?.expose());
        }
        match &self.tls {
            Some(mode) => add("sslmode", mode),
            // To another machine nothing goes unless it is the right one; a proof can be waived in the configuration alone.
            None if !self.url.contains("sslmode=") && !self.is_here() => add("sslmode", "verify-full"),
            None => {}
        }
        if let Some(file) = &self.ca_file {
            add("sslrootcert", &file.display().to_string());
        }
        for (name, value) in parameters {
            add(name, value);
        }
        Ok(Secret::new(url))
    }

    /// The error of an address with which no database can be had, and nothing but another configuration helps.
    pub(super) fn misconfigured(&self, reason: impl fmt::Display) -> StoreError {
        StoreError::Misconfigured(format!("store {}: {reason}", self.place()))
    }

    /// Whether the server is on this machine.
    fn is_here(&self) -> bool {
        let place = self.place();
        let host = place.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
        name.is_empty() || name == "localhost" || name.starts_with("127.") || name == "[::1]" || name.starts_with("%2f")
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl From<&str> for StoreAddress {
    fn from(url: &str) -> StoreAddress {
        StoreAddress::new(url)
    }
}

impl From<&String> for StoreAddress {
    fn from(url: &String) -> StoreAddress {
        StoreAddress::new(url)
    }
}

impl From<&StoreAddress> for StoreAddress {
    fn from(address: &StoreAddress) -> StoreAddress {
        address.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_what_lets_one_in() {
        let plain =
            StoreAddress::new("postgres://bell:canary@db.example.com:5433/night?sslmode=require&password=canary");
        let apart = StoreAddress::new("postgres://bell@db.example.com/night")
            .with_password(SecretRef::Inline(Secret::new("canary & more")));
        for address in [&plain, &apart] {
            assert!(address.is_shared());
            assert!(!format!("{address} {address:?}").contains("canary"), "{address}");
        }
        assert_eq!(plain.place(), "postgres://db.example.com:5433/night");
        assert_eq!(
            apart.to_driver(&[]).unwrap().expose(),
            "postgres://bell@db.example.com/night?password=canary%20%26%20more&sslmode=verify%2Dfull"
        );
    }

    #[test]
    fn a_server_elsewhere_is_proven_unless_the_file_says_otherwise() {
        let parameters = |address: StoreAddress| address.to_driver(&[]).unwrap().expose().to_string();
        for here in ["localhost", "127.0.0.1:5433", "[::1]:5432", "%2Ftmp%2Fx", "bell@localhost"] {
            assert!(!parameters(StoreAddress::new(format!("postgres://{here}/night"))).contains("sslmode"), "{here}");
        }
        let elsewhere = StoreAddress::new("postgres://db.example.com/night");
        assert!(parameters(elsewhere.clone()).ends_with("?sslmode=verify%2Dfull"));
        assert!(parameters(elsewhere.with_tls("require")).ends_with("?sslmode=require"));
        let said = StoreAddress::new("postgres://db.example.com/night?sslmode=require");
        assert_eq!(parameters(said), "postgres://db.example.com/night?sslmode=require");
    }
}
