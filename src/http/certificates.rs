//! Certificate files: what is in them, and in words what is wrong with them.
//!
//! Reads files and the variables `SSL_CERT_FILE` and `SSL_CERT_DIR`; contacts nobody.

use std::error::Error as _;
use std::ffi::OsStr;
use std::path::Path;

use reqwest::{Certificate, Client, Identity};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::yaml::{Key, Shape};

/// The key `ca_file` of whoever makes requests.
pub const CA_FILE: Key = Key::new("ca_file", Shape::Text, "Certificates to trust beside the system's (PEM).")
    .example("/etc/ssl/private-ca.pem");

/// How to make a certificate that a server can show, and whose own file is its `ca_file`.
const SELF_SIGNED: &str = "a self-signed certificate must not be that of an authority; make one with: openssl req -x509 \
    -newkey rsa:2048 -nodes -days 825 -keyout key.pem -out cert.pem -subj /CN=HOST -addext subjectAltName=DNS:HOST \
    -addext basicConstraints=critical,CA:FALSE";

/// The certificates in a `ca_file`, as they are.
///
/// # Errors
/// What is wrong with the file, with its name.
pub(crate) fn trusted(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path, "ca_file")?;
    let wrong = |reason: &dyn std::fmt::Display| format!("ca_file {}: {reason}", path.display());
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(wrong(&without_certificate(&pem))),
        Ok(all) => Ok(all),
        Err(error) => Err(wrong(&error)),
    }
}

/// The same for a client.
pub(super) fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let wrong = |error: reqwest::Error| format!("ca_file {}: {}", path.display(), chain(&error.without_url()));
    trusted(path)?.iter().map(|der| Certificate::from_der(der).map_err(wrong)).collect()
}

/// The certificate and the key in a `client_cert`.
///
/// # Errors
/// What is wrong with the file, with its name.
pub(super) fn identity(path: &Path) -> Result<Identity, String> {
    let pem = read(path, "client_cert")?;
    Identity::from_pem(&pem).map_err(|error| format!("client_cert {}: {}", path.display(), error.without_url()))
}

/// What is wrong with a `ca_file`.
///
/// # Errors
/// In words, with the file's name.
pub fn check_ca_file(path: &Path) -> Result<(), String> {
    let roots = authorities(path)?;
    install_crypto();
    let built = Client::builder().tls_certs_only(roots).build();
    built.map(drop).map_err(|error| format!("ca_file {}: {}", path.display(), chain(&error.without_url())))
}

/// What is wrong with a `client_cert`: also when its key is that of another certificate.
///
/// # Errors
/// In words, with the file's name.
pub fn check_client_cert(path: &Path) -> Result<(), String> {
    let identity = identity(path)?;
    install_crypto();
    let built = Client::builder().tls_certs_only([]).identity(identity).build();
    built.map(drop).map_err(|error| {
        let said = chain(&error.without_url());
        let words = if said.contains("KeyMismatch") || said.contains("keys may not be consistent") {
            "the key in it does not fit the certificate in it".to_string()
        } else {
            said
        };
        format!("client_cert {}: {words}", path.display())
    })
}

/// Whether the environment names roots of its own, which are then not replaced by others.
///
/// # Errors
/// When it names a file, or directories, without a certificate.
pub(crate) fn check_environment() -> Result<bool, String> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(file) = named("SSL_CERT_FILE") {
        check_roots(Path::new(&file))?;
        return Ok(true);
    }
    let Some(directories) = named("SSL_CERT_DIR") else { return Ok(false) };
    check_directories(&directories)?;
    Ok(true)
}

fn check_roots(path: &Path) -> Result<(), String> {
    let pem = std::fs::read(path).map_err(|error| format!("SSL_CERT_FILE {}: {error}", path.display()))?;
    if has_certificate(&pem) {
        return Ok(());
    }
    Err(format!("SSL_CERT_FILE {}: {}", path.display(), without_certificate(&pem)))
}

/// Reads as far as the first certificate.
fn check_directories(paths: &OsStr) -> Result<(), String> {
    let wrong = |reason: &dyn std::fmt::Display| format!("SSL_CERT_DIR {}: {reason}", Path::new(paths).display());
    let mut unread = None;
    for directory in std::env::split_paths(paths) {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                unread.get_or_insert(error);
                continue;
            }
        };
        let mut files = entries.flatten().filter_map(|entry| std::fs::read(entry.path()).ok());
        if files.any(|file| has_certificate(&file)) {
            return Ok(());
        }
    }
    Err(unread.map_or_else(|| wrong(&"there is no certificate in it (PEM)"), |error| wrong(&error)))
}

fn has_certificate(pem: &[u8]) -> bool {
    Certificate::from_pem_bundle(pem).is_ok_and(|all| !all.is_empty())
}

fn without_certificate(file: &[u8]) -> &'static str {
    match file {
        [] => "it is empty",
        // DER begins with a sequence of a two-byte length.
        [0x30, 0x82, ..] => "it is DER, and PEM is needed: openssl x509 -inform der -in FILE -out FILE.pem",
        _ => "there is no certificate in it (PEM)",
    }
}

/// What a TLS error means, where its own words do not say so.
pub(crate) fn explained(said: &str) -> String {
    if said.contains("CaUsedAsEndEntity") { format!("{said}: {SELF_SIGNED}") } else { said.to_string() }
}

fn read(path: &Path, key: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{key} {}: {error}", path.display()))
}

/// Makes ring the process's TLS provider. Idempotent; every client calls it, so that tests need not.
pub fn install_crypto() {
    // An error means that a provider is installed already, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// The last cause of an error: reqwest's own words say little ("error sending request"), its causes say what happened.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    let mut cause = error.source();
    while let Some(next) = cause {
        last = next;
        cause = next.source();
    }
    last.to_string()
}
