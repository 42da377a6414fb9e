//! Which back ends come into question: the one that was asked for, or what the running kernel takes.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::backend::{Kind, Refusal};
use crate::command::probe;
use crate::probe::RECOMMENDED;
use crate::render::Report;

const AUTO: &str = "auto";

/// The back end as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The first that the kernel takes and that can express the policy.
    Auto,
    /// This one.
    Only(Kind),
}

/// The back ends to try, in order, and where the order comes from.
pub(super) struct Candidates {
    pub(super) kinds: Vec<Kind>,
    /// What was learnt of the kernel, if it was to be asked.
    asked: Option<Result<String, String>>,
}

impl Choice {
    /// Reads the name of a back end, or `auto`.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        let names = [AUTO].into_iter().chain(Kind::ALL.map(Kind::name));
        PossibleValuesParser::new(names).map(|name| {
            let mut all = Kind::ALL.into_iter();
            all.find(|kind| kind.name() == name)
                .map_or(Self::Auto, Self::Only)
        })
    }

    /// The back ends to try. To find out what the kernel takes, it is probed in a namespace.
    pub(super) fn candidates(self) -> Candidates {
        match self {
            Self::Only(kind) => Candidates {
                kinds: vec![kind],
                asked: None,
            },
            Self::Auto => match probe::working() {
                Ok((kernel, kinds)) => Candidates {
                    kinds,
                    asked: Some(Ok(kernel)),
                },
                Err(why) => Candidates {
                    kinds: RECOMMENDED.to_vec(),
                    asked: Some(Err(why)),
                },
            },
        }
    }
}

impl Candidates {
    /// Why it is this back end, if that was not said by whoever asked.
    pub(super) fn why(&self, chosen: Kind, refused: &[Refusal]) -> Option<String> {
        let kernel = match self.asked.as_ref()? {
            Ok(release) => format!("Linux {release} takes it"),
            Err(why) => format!("the kernel was not asked ({why})"),
        };
        let refusals: String = refused
            .iter()
            .map(|refusal| format!("; {} can't express `{}`", refusal.backend, refusal.term))
            .collect();
        Some(format!("back end {chosen}: {kernel}{refusals}"))
    }

    /// That the kernel takes none.
    pub(super) fn none(&self) -> Report {
        let kernel = match &self.asked {
            Some(Ok(release)) => format!("Linux {release}"),
            _ => String::from("this kernel"),
        };
        Report::error(format!("{kernel} takes the rules of no back end")).help(
            "`epochgate probe` says what it lacks; name a back end to compile for another one",
        )
    }
}
