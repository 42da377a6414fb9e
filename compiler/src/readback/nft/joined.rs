//! Where nft 1.0.6 loads something else than is written: it joins tests of neighbouring bytes.
//!
//! Found out with `nft --debug=netlink`: tests of plain payload fields with one single value that
//! stand in one rule and have the same operator become one test of all their bytes, in either order
//! and with anything but a verdict map between them. For `==` that means the same. For `!=` it does
//! not: `@nh,320,16 != 1 @nh,336,16 != 2` holds as soon as either differs. A listing may take the
//! joined test apart again, so that it too shows what was written and not what is loaded. Masked
//! fields, bits inside of a byte, ranges, and sets of several values are not joined, and `==` is
//! never joined with `!=`.

use policy_lang::values::max_value;

use super::ast::{Operator, Right, Rule, Scalar, Statement};
use super::fields::{Field, Header};

/// Refuses a rule in which two `!=` are joined, or might be.
pub(super) fn refuse_joined(rule: &Rule) -> Result<(), String> {
    let mut excluded: Vec<(Header, usize, usize)> = Vec::new();
    for (header, from, to) in rule.statements.iter().filter_map(excluding) {
        let neighbour = |other: &(Header, usize, usize)| {
            other.0 == header && (other.1 == to || other.2 == from)
        };
        if excluded.iter().any(neighbour) {
            return Err(
                "nft joins `!=` of neighbouring bytes to one test that means something \
                        else: use ranges, a mask, or a set"
                    .to_owned(),
            );
        }
        excluded.push((header, from, to));
    }
    Ok(())
}

/// The bits that a statement compares with a single value by `!=`, if they may be joined.
fn excluding(statement: &Statement) -> Option<(Header, usize, usize)> {
    let Statement::Match {
        key,
        operator: Operator::Unequal,
        right: Right::Value(value),
    } = statement
    else {
        return None;
    };
    let [part] = key.as_slice() else { return None };
    let Field::Payload {
        header, bit, width, ..
    } = part.field
    else {
        return None;
    };
    let single = match value {
        Scalar::Exact(_) => true,
        Scalar::Prefix(_, length) => *length == width,
        Scalar::Range(low, high) => low == high,
    };
    // A mask of all bits is not joined, but a listing leaves it out.
    let whole = part.mask.as_ref().is_none_or(|mask| {
        let mask = part.field.datatype().value(mask);
        mask.is_some_and(|mask| mask == max_value(width))
    });
    (single && whole).then_some((header, bit, bit + width as usize))
}

#[cfg(test)]
mod tests {
    use policy_lang::set::Space;

    use crate::readback::nft::{read_json, read_text};

    fn text(rule: &str) -> Result<(), String> {
        let text = format!(
            "table netdev g {{\nchain c {{\ntype filter hook ingress device \"vif1.0\" \
             priority 0; policy drop;\n{rule} accept\n}}\n}}\n"
        );
        let space = Space::new(1 << 16).unwrap();
        let read = read_text(&space, &text, "vif1.0");
        read.map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn excluded_neighbours_are_refused() {
        for rule in [
            "@nh,320,16 != 1 @nh,336,16 != 2",
            "@nh,336,16 != 1 @nh,320,16 != 2",
            "@nh,320,16 != 1 @nh,72,8 1-6 counter @nh,336,16 != 2",
            "@nh,320,16 != { 1 } @nh,336,16 != { 2 }",
            "@nh,320,16 1 @nh,336,16 != 2 @nh,0,8 != 3 @nh,352,16 != 7",
            "@nh,320,16 & 0xffff != 1 @nh,336,16 != 2",
            "ip ttl != 4 ip protocol != 5",
            "@nh,64,8 != 4 ip protocol != 5",
            "ether saddr != 00:00:00:00:00:01 ether type != 0x1234",
        ] {
            let refused = text(rule).unwrap_err();
            assert!(refused.contains("neighbouring"), "{rule}: {refused}");
        }
    }

    #[test]
    fn what_nft_loads_as_written_is_read() {
        for rule in [
            "@nh,320,16 1 @nh,336,16 2",
            "@nh,320,16 1 @nh,336,16 != 2",
            "@nh,320,16 != 1 @nh,336,16 2",
            "@nh,320,16 != 1 @nh,352,16 != 2",
            "@nh,320,16 != 1 @nh,320,16 != 2",
            "@nh,320,16 != 1-4 @nh,336,16 != 2-5",
            "@nh,320,16 & 0xff00 != 0x100 @nh,336,16 & 0xff00 != 0x200",
            "@nh,320,16 != { 1, 3 } @nh,336,16 != { 2, 4 }",
            "@nh,320,16 < 4 @nh,336,16 < 6",
            "ip saddr != 10.0.0.0/24 ip daddr != 10.0.2.0/24",
            "@ll,96,16 != 1 @nh,112,16 != 2",
        ] {
            assert_eq!(text(rule), Ok(()), "{rule}");
        }
    }

    #[test]
    fn excluded_neighbours_are_refused_in_a_listing_too() {
        let listing = |second: u16| {
            let test = |offset: u16| {
                format!(
                    "{{\"match\": {{\"op\": \"!=\", \"left\": {{\"payload\": {{\"base\": \"nh\", \
                     \"offset\": {offset}, \"len\": 16}}}}, \"right\": 5}}}}"
                )
            };
            format!(
                "{{\"nftables\": [{{\"table\": {{\"family\": \"netdev\", \"name\": \"g\"}}}},\
                 {{\"chain\": {{\"family\": \"netdev\", \"table\": \"g\", \"name\": \"i\", \
                 \"type\": \"filter\", \"hook\": \"ingress\", \"prio\": 0, \"policy\": \"drop\"}}}},\
                 {{\"rule\": {{\"family\": \"netdev\", \"table\": \"g\", \"chain\": \"i\", \
                 \"expr\": [{}, {}, {{\"accept\": null}}]}}}}]}}",
                test(320),
                test(second)
            )
        };
        let space = Space::new(1 << 16).unwrap();
        let read = |second| read_json(&space, &listing(second), "vif1.0");
        let refused = read(336).unwrap_err().to_string();
        assert!(refused.contains("neighbouring"), "{refused}");
        assert!(read(352).is_ok());
    }
}
