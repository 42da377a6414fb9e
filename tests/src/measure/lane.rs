//! One laboratory with or without rules, and the gate that is driven there.

use std::fs;

use compiler::backend::Kind;
use compiler::compile::{self, compile_for};
use compiler::device::Device;
use compiler::gate::driver::Driver;
use compiler::script::Gate;
use qdisc_model::controller::{Answer, Request};

use super::holds;
use super::sender::media_frame;
use crate::examples;
use crate::netlab::{Lab, Session, VIF};

const IFB: &str = "ifb0";

/// A laboratory.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    /// The file of its policy.
    pub(super) policy: Option<String>,
    pub(super) holds_media: bool,
    lab: Lab,
    driver: Option<Driver>,
}

impl Lane {
    /// A guest that is replicated without any gate.
    pub(super) fn ungated() -> Result<Self, String> {
        Ok(Self {
            name: String::from("no gate"),
            policy: None,
            holds_media: false,
            lab: Lab::new().map_err(|e| e.to_string())?,
            driver: None,
        })
    }

    /// The rules of an example, as its deploy script brings them in, and a gate in hand.
    pub(super) fn gated(name: &str, file: &str, gate: Gate) -> Result<Self, String> {
        let examples = examples::all();
        let example = examples.iter().find(|example| example.name == file);
        let example = example.ok_or_else(|| format!("no example `{file}`"))?;
        let device = |name| Device::new(name).map_err(|e| e.to_string());
        let request = compile::Request {
            policy: &example.policy,
            name: file,
            text: &example.text,
            backend: Kind::Nft,
            vif: device(VIF)?,
            ifb: device(IFB)?,
        };
        let compiled = compile_for(&request, gate);
        let script = compiled.map_err(|e| e.to_string())?.script;
        let lab = Lab::new().map_err(|e| e.to_string())?;
        let path = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
        fs::write(path.path(), script).map_err(|e| e.to_string())?;
        lab.shell(&format!("sh {} apply", path.path().display()))
            .map_err(|e| e.to_string())?;
        let limit = example.policy.gate.limit.unwrap_or(64 << 20);
        let limit = u32::try_from(limit).map_err(|e| e.to_string())?;
        let driver = lab.enter(|| {
            let mut driver = Driver::new(&device(IFB)?, limit).map_err(|e| e.to_string())?;
            if !driver.recover() {
                return Err(format!("the {} is out of reach", gate.name()));
            }
            driver.join();
            Ok(driver)
        });
        Ok(Self {
            name: match gate {
                Gate::Plug => name.to_owned(),
                Gate::Epochgate => format!("{name}, {}", gate.name()),
            },
            policy: Some(file.to_owned()),
            holds_media: holds(&example.policy, &media_frame(0, 0, 0)),
            lab,
            driver: Some(driver.map_err(|e| e.to_string())??),
        })
    }

    pub(super) fn session(&self) -> Result<Session, String> {
        self.lab.lazy_session().map_err(|e| e.to_string())
    }

    /// The guest is stopped at the end of this epoch.
    pub(super) fn end(&mut self, epoch: u64) -> Result<(), String> {
        self.ask(Request::End(epoch), Answer::Ended(epoch))
    }

    /// The backup has this epoch.
    pub(super) fn commit(&mut self, epoch: u64) -> Result<(), String> {
        self.ask(Request::Committed(epoch), Answer::Released(epoch))
    }

    fn ask(&mut self, request: Request, expected: Answer) -> Result<(), String> {
        let Some(driver) = &mut self.driver else {
            return Ok(());
        };
        match driver.request(request) {
            Some(answer) if answer == expected => Ok(()),
            other => Err(format!("{}: {request:?} is answered {other:?}", self.name)),
        }
    }
}
