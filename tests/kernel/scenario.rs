//! The scenarios of `tests::scenario` on the running kernel. They are about holding, so a kernel
//! without sch_plug skips them aloud.

use compiler::backend::Kind;
use libtest_mimic::Trial;
use tests::netlab::Lab;
use tests::scenario::{Step, kernel, set};

use crate::{Here, LOADED};

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    let mut trials = Vec::new();
    for scenario in set::ALL {
        // What plug does is the same whoever brings the packets; a script depends on the back end.
        let deploys = scenario
            .steps
            .iter()
            .any(|step| matches!(step, Step::Deploy(_)));
        let backends = if deploys {
            LOADED.to_vec()
        } else {
            vec![Kind::U32]
        };
        for backend in backends {
            let name = format!("scenario::{}_{backend}", scenario.name);
            let run = move || Ok(kernel::run(&Lab::new()?, scenario, backend)?);
            trials.push(here.trial_on_plug(&name, run));
        }
    }
    trials
}
