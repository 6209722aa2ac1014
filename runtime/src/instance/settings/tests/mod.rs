//! Tests of the settings. None touches the environment of the process.

mod contradictions;
mod defaults;
mod faults;
mod loaded;
mod servers;
mod shown;
mod values;

use std::ffi::OsString;
use std::fmt::Write;

use super::names::{self, Setting};
use super::{Resolved, Rules, Settings, Store};
use crate::connection::{ConnectionConfig, Topology};
use crate::error::{Error, ErrorKind};
use crate::instance::env;

const SECRET: &str = "s3cret";

/// What the environment says, unchecked, without faults.
fn read(vars: &[(&str, &str)]) -> Settings {
    let (settings, faults) = env::read(lookup(vars));
    assert!(faults.error().is_none(), "{:?}", faults.error());
    settings
}

fn resolve(vars: &[(&str, &str)]) -> Result<Resolved, Error> {
    let (settings, faults) = env::read(lookup(vars));
    settings.resolve(Rules::default(), faults)
}

fn lookup(vars: &[(&str, &str)]) -> impl Fn(&'static str) -> Option<OsString> {
    move |name| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| OsString::from(value))
}

/// The names of the settings at fault, in order. No secret is in the error.
fn faults(vars: &[(&str, &str)]) -> Vec<&'static str> {
    let error = resolve(vars).expect_err("contradictory or bad settings");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    error.context().map(|(name, _)| name).collect()
}

fn fault(vars: &[(&str, &str)], setting: &Setting) -> String {
    let error = resolve(vars).expect_err("contradictory or bad settings");
    let mut faults = error.context().filter(|(name, _)| *name == setting.variable);
    let Some((_, text)) = faults.next() else { panic!("{} in {error}", setting.variable) };
    text.to_owned()
}

fn topology(vars: &[(&str, &str)]) -> Topology {
    remote(vars).topology
}

fn remote(vars: &[(&str, &str)]) -> ConnectionConfig {
    match resolve(vars).expect("good settings").store {
        Store::Remote(config) => *config,
        Store::Embedded { .. } => panic!("no server in {vars:?}"),
    }
}

/// Nothing that can be set is left out, and nothing else is there.
fn assert_complete(variables: &[&str]) {
    for setting in names::ALL {
        assert!(variables.contains(&setting.variable), "{} is left out", setting.variable);
    }
    for variable in variables {
        assert!(names::ALL.iter().any(|setting| setting.variable == *variable), "{variable} is no setting");
    }
}

/// All that `Debug` shows, and the logins and databases that it does not.
fn everything(resolved: &Resolved) -> String {
    let mut text = format!("{resolved:#?}\n");
    let configs = match &resolved.store {
        Store::Remote(config) => Some(&**config),
        Store::Embedded { .. } => None,
    };
    for config in configs.into_iter().chain(&resolved.lock_masters) {
        let addresses = match &config.topology {
            Topology::Single(address) => vec![address],
            Topology::Replicas { primary, replicas } => std::iter::once(primary).chain(replicas).collect(),
            Topology::Sentinel { sentinels, template, .. } => sentinels.iter().chain([template]).collect(),
            Topology::Cluster { seeds } => seeds.iter().collect(),
            #[cfg(feature = "upstash")]
            Topology::Rest { token, .. } => {
                writeln!(text, "{}", token.reveal()).expect("memory takes it");
                Vec::new()
            }
        };
        for address in addresses {
            writeln!(text, "{address} {:?} {}", address.login(), address.database())
                .expect("memory takes it");
        }
    }
    text
}
