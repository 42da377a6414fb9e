//! Multiplying conditions out into boxes, and joining boxes again where that is exact.

use std::collections::{BTreeMap, BTreeSet};

use policy_lang::field::Field;
use policy_lang::values::ValueSet;

use super::specialise::Formula;
use crate::ir::FieldBox;

/// Up to this many boxes, each is compared with each other one.
const FEW: usize = 256;

/// The boxes whose union the formula is, or `None` if there would be more than `most`.
pub(super) fn alternatives(formula: &Formula, most: usize) -> Option<Vec<FieldBox>> {
    match formula {
        Formula::Constant(true) => Some(vec![FieldBox::default()]),
        Formula::Constant(false) => Some(Vec::new()),
        Formula::In(field, values) => Some(vec![FieldBox {
            fields: BTreeMap::from([(*field, values.clone())]),
        }]),
        Formula::Any(parts) => {
            let mut union = Vec::new();
            for part in parts {
                union.extend(alternatives(part, most)?);
                if union.len() > most {
                    union = simplified(union);
                }
            }
            let union = simplified(union);
            (union.len() <= most).then_some(union)
        }
        Formula::All(parts) => {
            let mut product = vec![FieldBox::default()];
            for part in parts {
                let factors = alternatives(part, most)?;
                let pairs = product.len().checked_mul(factors.len())?;
                if pairs > most.saturating_mul(4) {
                    return None;
                }
                product = product
                    .iter()
                    .flat_map(|a| factors.iter().filter_map(|b| a.intersection(b)))
                    .collect();
                product = simplified(product);
            }
            (product.len() <= most).then_some(product)
        }
    }
}

/// The same packets in fewer boxes: those that differ in one field are joined, and boxes inside
/// other boxes left out. The order of the result depends on nothing but the packets' boxes.
pub(crate) fn simplified(mut boxes: Vec<FieldBox>) -> Vec<FieldBox> {
    if boxes.iter().any(FieldBox::is_everything) {
        return vec![FieldBox::default()];
    }
    boxes.sort_unstable();
    boxes.dedup();
    if boxes.len() > 1 {
        let fields: BTreeSet<Field> = boxes
            .iter()
            .flat_map(|b| b.fields.keys().copied())
            .collect();
        for field in fields {
            boxes = joined_along(field, boxes);
        }
    }
    if boxes.len() <= FEW {
        without_contained(&mut boxes);
    }
    boxes
}

fn joined_along(field: Field, boxes: Vec<FieldBox>) -> Vec<FieldBox> {
    let mut groups: BTreeMap<FieldBox, Option<ValueSet>> = BTreeMap::new();
    for mut one in boxes {
        let values = one.fields.remove(&field);
        let group = groups.entry(one).or_insert_with(|| Some(ValueSet::empty()));
        // No set means any value, and stays so.
        *group = match (group.take(), values) {
            (Some(old), Some(new)) => Some(old.union(&new)),
            _ => None,
        };
    }
    let mut joined: Vec<FieldBox> = groups
        .into_iter()
        .map(|(mut one, values)| {
            if let Some(values) = values.filter(|values| !values.is_full(field.width())) {
                one.fields.insert(field, values);
            }
            one
        })
        .collect();
    joined.sort_unstable();
    joined
}

fn without_contained(boxes: &mut Vec<FieldBox>) {
    let all = boxes.clone();
    let mut at = 0;
    boxes.retain(|one| {
        let mine = at;
        at += 1;
        // Of two equal boxes none is left here: they were joined.
        !all.iter()
            .enumerate()
            .any(|(other, larger)| other != mine && larger.contains(one))
    });
}
