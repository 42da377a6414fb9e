//! The verbs of the command line, one file each: the arguments, and a function that does it.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod diff;
pub(crate) mod explain;
mod finding;
pub(crate) mod fmt;
pub(crate) mod gate;
mod outputs;
pub(crate) mod probe;
pub(crate) mod query;
pub(crate) mod replay;
pub(crate) mod simplify;
pub(crate) mod simulate;
pub(crate) mod test;
pub(crate) mod trace;
pub(crate) mod tune;
pub(crate) mod verify;
mod workload;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::backend::Kind;

/// Reads the name of a back end.
fn kind() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name)).try_map(|name| {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or("no such back end")
    })
}
