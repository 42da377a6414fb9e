//! `cargo xtask soak proofs`: every back end, as many random policies as one has time for, and a proof each.

use std::time::Instant;

use anyhow::{Context, bail};
use tests::proof;

use crate::{new_seed, show, value};

/// Runs what is asked for; false if a policy was found of which a back end makes wrong rules.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<bool> {
    let (mut policies, mut seed) = (100_000_u32, new_seed());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || value(word, &mut words);
        match word.as_str() {
            "--policies" => policies = value()?.parse().context("`--policies`")?,
            "--seed" => seed = value()?.parse().context("`--seed`")?,
            other => bail!("`{other}` is no option; see `cargo xtask soak --help`"),
        }
    }
    println!("seed {seed}");
    let begin = Instant::now();
    let of = usize::try_from(policies)?;
    let progress = |done| show("proofs", "policies", (done, of), begin);
    match proof::of_random_policies(seed, policies, progress) {
        Ok(tally) => println!("{tally}; {} s", begin.elapsed().as_secs()),
        Err(found) => {
            println!("{found}");
            return Ok(false);
        }
    }
    Ok(true)
}
