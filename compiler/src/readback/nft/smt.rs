//! What a ruleset does to a frame, as functions of SMT-LIB: evaluation as in [`super::meaning`].
//!
//! One function per rule says what becomes of a frame from this rule of its chain on, so that the
//! last rule is defined first, and a second one whether the frame meets a test about which kernels
//! differ. What the names stand for is said in [`crate::smt::frame`]. Rules that nft would load as
//! something else are refused by [`super::meaning`] alone, which callers ask first.

use std::collections::{BTreeMap, BTreeSet};

use policy_lang::values::ValueSet;

use super::ast::{
    KeyType, Operator, Part, Right, Rule, Ruleset, Source, Statement, Table, Verdict,
};
use super::cursor::Fault;
use super::fields::{Field, Header};
use super::implied::{Context, Implied};
use super::lookup::wanted;
use super::meaning::{asks_protocol, hooked};
use crate::smt::fate::{HELD, LOST, NONE, PASSES, SORT};
use crate::smt::frame::{BYTES, NETWORK_BYTES};
use crate::smt::term::{all, any, bits, constant, define, within};

/// `meta protocol` sees through a second tag and PPPoE from Linux 7.1 on.
const SEEN_THROUGH: &str = "(or (= k-protocol #x8100) (= k-protocol #x8864))";

/// Defines `rules-fate` and `rules-unsure`.
pub(super) fn rules(rules: &Ruleset, device: &str, ifb: &str) -> Result<String, Fault> {
    let mut text = String::from("\n; The rules of nft: each rule goes on with the next one.\n");
    let (mut fate, mut unsure) = (PASSES.to_owned(), String::from("false"));
    for (at, (table, name, hook)) in hooked(rules, device)?.iter().enumerate().rev() {
        let mut writer = Writer {
            table,
            ifb,
            prefix: format!("nft-{at}"),
            chains: BTreeMap::new(),
            text: String::new(),
        };
        let Answer {
            fate: own,
            unsure: doubt,
        } = writer.chain(name, hook.line)?;
        text.push_str(&writer.text);
        let undecided = if hook.drops_by_default { LOST } else { &fate };
        let whole =
            format!("(ite (= {own} {NONE}) {undecided} (ite (= {own} {PASSES}) {fate} {own}))");
        let goes_on = if hook.drops_by_default {
            format!("(= {own} {PASSES})")
        } else {
            format!("(or (= {own} {NONE}) (= {own} {PASSES}))")
        };
        unsure = format!("(or {doubt} (and {goes_on} {unsure}))");
        fate = whole;
    }
    text.push_str(&define("rules-fate", SORT, &fate));
    text.push_str(&define("rules-unsure", "Bool", &unsure));
    Ok(text)
}

/// The terms for what becomes of a frame and for whether kernels differ about it.
#[derive(Clone, Debug)]
struct Answer {
    fate: String,
    unsure: String,
}

impl Answer {
    fn sure(fate: &str) -> Self {
        Self {
            fate: fate.to_owned(),
            unsure: String::from("false"),
        }
    }

    fn either(condition: &str, yes: &Self, no: &Self) -> Self {
        let ite = |yes: &str, no: &str| match yes == no {
            true => yes.to_owned(),
            false => format!("(ite {condition} {yes} {no})"),
        };
        Self {
            fate: ite(&yes.fate, &no.fate),
            unsure: ite(&yes.unsure, &no.unsure),
        }
    }

    /// The same for a frame that meets a test of `meta protocol` first.
    fn doubted(mut self) -> Self {
        self.unsure = format!("(or {SEEN_THROUGH} {})", self.unsure);
        self
    }
}

struct Writer<'rules> {
    table: &'rules Table,
    ifb: &'rules str,
    prefix: String,
    /// The functions of chains that are defined.
    chains: BTreeMap<&'rules str, Answer>,
    text: String,
}

impl<'rules> Writer<'rules> {
    fn chain(&mut self, name: &str, line: usize) -> Result<Answer, Fault> {
        if let Some(known) = self.chains.get(name) {
            return Ok(known.clone());
        }
        let Some((name, chain)) = self.table.chains.get_key_value(name) else {
            return Err(Fault::new(line, format!("there is no chain `{name}`")));
        };
        let mut behind = Answer::sure(NONE);
        for (at, rule) in chain.rules.iter().enumerate().rev() {
            let answer = self.rule(rule, &behind)?;
            let own = format!("{}-{name}-{at}", self.prefix);
            self.text.push_str(&define(&own, SORT, &answer.fate));
            let doubt = if answer.unsure == "false" {
                answer.unsure
            } else {
                let doubt = format!("{own}-unsure");
                self.text.push_str(&define(&doubt, "Bool", &answer.unsure));
                doubt
            };
            behind = Answer {
                fate: own,
                unsure: doubt,
            };
        }
        self.chains.insert(name, behind.clone());
        Ok(behind)
    }

    fn rule(&mut self, rule: &'rules Rule, behind: &Answer) -> Result<Answer, Fault> {
        let mut context = Context::default();
        let mut steps = Vec::new();
        for statement in &rule.statements {
            let implied = context.step(statement);
            steps.push((
                implied.map_err(|why| Fault::new(rule.line, why))?,
                statement,
            ));
        }
        let mut answer = behind.clone();
        for (implied, statement) in steps.into_iter().rev() {
            answer = self.statement(statement, &answer, behind, rule.line)?;
            if asks_protocol(statement) {
                answer = answer.doubted();
            }
            for test in implied.into_iter().rev() {
                answer = match test {
                    Implied::Protocol(ethertype) => {
                        let holds = format!("(= k-protocol {})", constant(ethertype.into(), 16));
                        Answer::either(&holds, &answer, behind).doubted()
                    }
                    Implied::Tag => {
                        let holds = "(= outer #x8100)";
                        Answer::either(holds, &answer, behind)
                    }
                };
            }
        }
        Ok(answer)
    }

    /// What a statement does; `next` is what follows in the rule, `behind` the rules behind it.
    fn statement(
        &mut self,
        statement: &'rules Statement,
        next: &Answer,
        behind: &Answer,
        line: usize,
    ) -> Result<Answer, Fault> {
        match statement {
            Statement::Match {
                key,
                operator,
                right,
            } => {
                let holds = self.holds(key, *operator, right, line)?;
                Ok(Answer::either(&holds, next, behind))
            }
            Statement::Map { key, map } => {
                let (there, found, others) = self.elements(key, map, line)?;
                let mut answer = match others {
                    Some(verdict) => self.decided(verdict, next, behind, line)?,
                    None => behind.clone(),
                };
                for (verdict, tests) in found {
                    let verdict =
                        verdict.ok_or_else(|| Fault::new(line, "this set answers nothing"))?;
                    let decided = self.decided(verdict, next, behind, line)?;
                    answer = Answer::either(&any(&tests), &decided, &answer);
                }
                Ok(Answer::either(&there, &answer, behind))
            }
            Statement::Verdict(verdict) => self.decided(verdict, next, behind, line),
            Statement::Forward(device) if device == self.ifb => Ok(Answer::sure(HELD)),
            Statement::Forward(_) => Ok(Answer::sure(LOST)),
        }
    }

    fn decided(
        &mut self,
        verdict: &Verdict,
        next: &Answer,
        behind: &Answer,
        line: usize,
    ) -> Result<Answer, Fault> {
        Ok(match verdict {
            Verdict::Accept => Answer::sure(PASSES),
            Verdict::Drop => Answer::sure(LOST),
            Verdict::Return => Answer::sure(NONE),
            Verdict::Continue => next.clone(),
            Verdict::Goto(chain) => self.chain(chain, line)?,
            Verdict::Jump(chain) => {
                let there = self.chain(chain, line)?;
                let returns = format!("(= {} {NONE})", there.fate);
                let after = format!("(and {returns} {})", behind.unsure);
                Answer {
                    fate: format!("(ite {returns} {} {})", behind.fate, there.fate),
                    unsure: any(&[there.unsure, after]),
                }
            }
        })
    }

    fn holds(
        &self,
        key: &[Part],
        operator: Operator,
        right: &'rules Right,
        line: usize,
    ) -> Result<String, Fault> {
        let fault = |reason: String| Fault::new(line, reason);
        match (right, key) {
            (Right::Value(scalar), [part]) => {
                let (values, width) = wanted(part, operator, scalar).map_err(fault)?;
                let (there, term) = loaded(part, width).map_err(fault)?;
                Ok(all(&[there, within(&term, width, &values)]))
            }
            (Right::Value(_), _) => Err(fault("a concatenation needs a set".to_owned())),
            (Right::Set(set), _) => {
                let (there, found, others) = self.elements(key, set, line)?;
                let found: Vec<String> = found.into_values().flatten().collect();
                let found = match others {
                    Some(_) => String::from("true"),
                    None => any(&found),
                };
                Ok(match operator {
                    Operator::Unequal => format!("(and {there} (not {found}))"),
                    _ => all(&[there, found]),
                })
            }
        }
    }

    /// Whether all that is looked at is there, the elements by what they answer, and what all other
    /// keys do.
    #[expect(clippy::type_complexity, reason = "three answers of one look")]
    fn elements(
        &self,
        key: &[Part],
        source: &'rules Source,
        line: usize,
    ) -> Result<
        (
            String,
            BTreeMap<Option<&'rules Verdict>, Vec<String>>,
            Option<&'rules Verdict>,
        ),
        Fault,
    > {
        let of = |part: &Part| KeyType {
            datatype: part.field.datatype(),
            width: None,
        };
        let (types, elements) = match source {
            Source::Anonymous(elements) => (key.iter().map(of).collect(), elements),
            Source::Named(name) => {
                let set = self.table.sets.get(name);
                let set = set
                    .ok_or_else(|| Fault::new(line, format!("there is no such set as `{name}`")))?;
                (set.types.clone(), &set.elements)
            }
        };
        let fault = |reason: String| Fault::new(line, reason);
        let loads: Result<Vec<_>, _> = key
            .iter()
            .map(|part| loaded(part, part.field.width()))
            .collect();
        let loads = loads.map_err(fault)?;
        let there: BTreeSet<String> = loads.iter().map(|(there, _)| there.clone()).collect();
        let there = all(&there.into_iter().collect::<Vec<_>>());
        let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
        let mut others = None;
        for element in elements {
            let Some(parts) = &element.key else {
                others = Some(element.verdict.as_ref().unwrap_or(&Verdict::Continue));
                continue;
            };
            let mut tests = Vec::new();
            for (scalar, ((part, of), (_, term))) in
                parts.iter().zip(key.iter().zip(&types).zip(&loads))
            {
                let width = part.field.width();
                let values: ValueSet = of.datatype.values(scalar, width).map_err(fault)?;
                tests.push(within(term, width, &values));
            }
            let verdict = element.verdict.as_ref();
            found.entry(verdict).or_default().push(all(&tests));
        }
        Ok((there, found, others))
    }
}

/// Whether what a part looks at is there, and its first `width` bits, masked.
fn loaded(part: &Part, width: u32) -> Result<(String, String), String> {
    let (there, term) = match part.field {
        Field::Length => (
            String::from("true"),
            String::from("((_ zero_extend 16) k-len)"),
        ),
        Field::Protocol => (String::from("true"), String::from("k-protocol")),
        Field::Payload { header, bit, .. } => {
            // Whole bytes are loaded, and all of them have to be there.
            let end = (bit + width as usize).div_ceil(8);
            let (known, length) = match header {
                Header::Link => (BYTES, "len"),
                Header::Network => (NETWORK_BYTES, "k-len"),
            };
            if end > known {
                return Err("this looks further into the frame than is known here".to_owned());
            }
            let byte = |at: usize| match header {
                Header::Link => link(at),
                Header::Network => format!("k{at}"),
            };
            let there = format!("(bvuge {length} {})", constant(end as u128, 16));
            (there, bits(byte, bit, width))
        }
    };
    let Some(word) = &part.mask else {
        return Ok((there, term));
    };
    let mask = part.field.datatype().value(word);
    let mask = mask.ok_or_else(|| format!("`{word}` is no mask for this field"))?;
    Ok((there, format!("(bvand {term} {})", constant(mask, width))))
}

/// A byte of the frame with a stripped tag put back: behind it stands what the kernel takes for the
/// ethertype.
fn link(at: usize) -> String {
    match at {
        16 => String::from("(ite stripped ((_ extract 15 8) k-protocol) b16)"),
        17 => String::from("(ite stripped ((_ extract 7 0) k-protocol) b17)"),
        _ => format!("b{at}"),
    }
}
