//! The files of TLS, read.

use std::fs;
use std::path::Path;

use super::Settings;
use super::fault::Faults;
use super::names::{self, Setting};
use crate::connection::Tls;

/// Reads the files that are set. Whether any server uses them is not asked here.
pub(super) fn read(settings: &Settings, faults: &mut Faults) -> Tls {
    let mut file =
        |path: &Option<_>, setting| path.as_deref().and_then(|path| content(path, setting, faults));
    let roots = file(&settings.tls_ca_file, &names::TLS_CA_FILE);
    let chain = file(&settings.tls_cert_file, &names::TLS_CERT_FILE);
    let key = file(&settings.tls_key_file, &names::TLS_KEY_FILE);
    match (&settings.tls_cert_file, &settings.tls_key_file) {
        (Some(_), None) => faults.lacks(&names::TLS_CERT_FILE, &names::TLS_KEY_FILE),
        (None, Some(_)) => faults.lacks(&names::TLS_KEY_FILE, &names::TLS_CERT_FILE),
        _ => {}
    }
    tls(roots, chain.zip(key))
}

/// The first of the files that is set.
pub(super) fn first(settings: &Settings) -> Option<&'static Setting> {
    [
        (&settings.tls_ca_file, &names::TLS_CA_FILE),
        (&settings.tls_cert_file, &names::TLS_CERT_FILE),
        (&settings.tls_key_file, &names::TLS_KEY_FILE),
    ]
    .into_iter()
    .find_map(|(path, setting)| path.is_some().then_some(setting))
}

fn content(path: &Path, setting: &'static Setting, faults: &mut Faults) -> Option<Vec<u8>> {
    let read = fs::read(path).map_err(|error| format!("the file {} cannot be read: {error}", path.display()));
    let pem = read.and_then(|content| {
        let is_pem = content.windows(10).any(|text| text == b"-----BEGIN");
        is_pem.then_some(content).ok_or_else(|| format!("the file {} holds nothing in PEM", path.display()))
    });
    pem.map_err(|fault| faults.value(setting, fault)).ok()
}

#[cfg(feature = "tls")]
fn tls(roots: Option<Vec<u8>>, client: Option<(Vec<u8>, Vec<u8>)>) -> Tls {
    Tls::new(roots, client)
}

#[cfg(not(feature = "tls"))]
fn tls(_: Option<Vec<u8>>, _: Option<(Vec<u8>, Vec<u8>)>) -> Tls {
    Tls::default()
}
