//! The words of tc: numbers, handles, protocol names and devices, as iproute2 reads and prints them.

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_till, take_till1, take_while, take_while1};
use nom::character::complete::{char, multispace0};
use nom::combinator::{all_consuming, map_opt, opt, rest, verify};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

/// Why a line is not understood, or what was read from it.
pub(super) type Read<T> = Result<T, String>;

/// The words of a line, taken one by one.
#[derive(Clone, Debug)]
pub(super) struct Words<'line> {
    left: &'line str,
}

impl<'line> Words<'line> {
    pub(super) fn new(line: &'line str) -> Self {
        Self { left: line }
    }

    /// The next word, or `None` at the end of the line.
    pub(super) fn next(&mut self) -> Option<&'line str> {
        let (left, found) = word(self.left).ok()?;
        self.left = left;
        Some(found)
    }

    /// The next word without taking it.
    pub(super) fn peek(&self) -> Option<&'line str> {
        word(self.left).ok().map(|(_, found)| found)
    }

    /// The text between two of `quote` behind `keyword`.
    pub(super) fn quoted(&mut self, keyword: &str, quote: char) -> Read<&'line str> {
        let text = delimited(char(quote), take_till(|c| c == quote), char(quote));
        let found = preceded(multispace0::<_, nom::error::Error<_>>, text).parse(self.left);
        let (left, text) =
            found.map_err(|_| format!("no text in {quote} stands behind `{keyword}`"))?;
        self.left = left;
        Ok(text)
    }

    /// The word behind `keyword`, as a value.
    pub(super) fn value<T>(
        &mut self,
        keyword: &str,
        read: impl Fn(&'line str) -> Option<T>,
    ) -> Read<T> {
        let word = self
            .next()
            .ok_or_else(|| format!("nothing stands behind `{keyword}`"))?;
        read(word).ok_or_else(|| format!("`{word}` is no value of `{keyword}`"))
    }
}

fn word(input: &str) -> IResult<&str, &str> {
    preceded(multispace0, take_till1(|c: char| " \t\r\n".contains(c))).parse(input)
}

fn whole<'word, T>(
    parser: impl Parser<&'word str, Output = T, Error = nom::error::Error<&'word str>>,
    word: &'word str,
) -> Option<T> {
    all_consuming(parser)
        .parse(word)
        .ok()
        .map(|(_, value)| value)
}

fn digits<'word>(
    radix: u32,
) -> impl Parser<&'word str, Output = u32, Error = nom::error::Error<&'word str>> {
    map_opt(
        take_while1(move |c: char| c.is_digit(radix)),
        move |text: &str| u32::from_str_radix(text, radix).ok(),
    )
}

/// A number in hexadecimal, with or without `0x`.
pub(super) fn hexadecimal(word: &str) -> Option<u32> {
    whole(preceded(opt(tag_no_case("0x")), digits(16)), word)
}

/// A number in decimal.
pub(super) fn decimal(word: &str) -> Option<u32> {
    whole(digits(10), word)
}

/// A number as C reads it: `0x` for hexadecimal, a leading zero for octal, else decimal.
pub(super) fn number(word: &str) -> Option<u32> {
    whole(any_radix, word)
}

/// An offset from the network header: a number as [`number`] reads it, that may have a sign.
///
/// Before -16 lies what the driver left there, and how much of it; the kernel ends at 16 bits.
pub(super) fn offset(word: &str) -> Option<i32> {
    let signed = (
        opt(char('-')),
        map_opt(any_radix, |n| i32::try_from(n).ok()),
    );
    let (minus, distance) = whole(signed, word)?;
    let offset = if minus.is_some() { -distance } else { distance };
    (-16..=0x7fff).contains(&offset).then_some(offset)
}

fn any_radix(input: &str) -> IResult<&str, u32> {
    alt((
        preceded(tag_no_case("0x"), digits(16)),
        preceded(char('0'), digits(8)),
        digits(10),
    ))
    .parse(input)
}

/// `TABLE:BUCKET:NODE` in hexadecimal; what is left out is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Handle {
    /// 12 bits.
    pub(super) table: u16,
    /// 8 bits.
    pub(super) bucket: u8,
    /// 12 bits.
    pub(super) node: u16,
}

impl Handle {
    pub(super) fn read(word: &str) -> Option<Self> {
        let part = |most: u32| {
            map_opt(
                take_while(|c: char| c.is_ascii_hexdigit()),
                move |text: &str| match text {
                    "" => Some(0),
                    _ => u32::from_str_radix(text, 16).ok().filter(|&n| n <= most),
                },
            )
        };
        let parts = (
            part(0xfff),
            char(':'),
            part(0xff),
            opt(preceded(char(':'), part(0xfff))),
        );
        let (table, _, bucket, node) = whole(parts, word)?;
        Some(Self {
            table: u16::try_from(table).ok()?,
            bucket: u8::try_from(bucket).ok()?,
            node: u16::try_from(node.unwrap_or(0)).ok()?,
        })
    }

    /// The table, if the handle names a table and nothing in it.
    pub(super) fn table_only(self) -> Option<u16> {
        (self.bucket == 0 && self.node == 0).then_some(self.table)
    }
}

/// A class or parent: `:1`, `1:`, `ffff:fff2`, in hexadecimal.
pub(super) fn class(word: &str) -> Option<(u16, u16)> {
    let part = || {
        map_opt(
            take_while(|c: char| c.is_ascii_hexdigit()),
            |text: &str| match text {
                "" => Some(0),
                _ => u16::from_str_radix(text, 16).ok(),
            },
        )
    };
    whole((part(), char(':'), part()), word).map(|(major, _, minor)| (major, minor))
}

/// A protocol by name or number (`ll_proto.c`), the form `[2989]` of listings included.
pub(super) fn protocol(word: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 12] = [
        ("all", super::ast::ETH_P_ALL),
        ("ip", 0x0800),
        ("ipv4", 0x0800),
        ("ipv6", 0x86dd),
        ("arp", 0x0806),
        ("rarp", 0x8035),
        ("802.1Q", 0x8100),
        ("802.1ad", 0x88a8),
        ("802_2", 0x0004),
        ("802_3", 0x0001),
        ("LLDP", 0x88cc),
        ("profinet", 0x8892),
    ];
    let named = NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    match named {
        Some((_, protocol)) => Some(*protocol),
        None => {
            let bracketed = delimited(char('['), digits(10), char(']'));
            let value = whole(alt((bracketed, any_radix)), word)?;
            u16::try_from(value).ok()
        }
    }
}

/// The name of a network device: what the kernel allows, and no wild card.
pub(super) fn device(word: &str) -> Option<String> {
    let odd = |c: char| c.is_whitespace() || "/:*()".contains(c);
    let name = verify(rest, |name: &str| {
        (1..=15).contains(&name.len()) && !name.contains(odd)
    });
    whole(name, word).map(str::to_owned)
}

/// `VALUE/MASK`, both in hexadecimal.
pub(super) fn value_and_mask(word: &str) -> Option<(u32, u32)> {
    whole((digits(16), tag("/"), digits(16)), word).map(|(value, _, mask)| (value, mask))
}
