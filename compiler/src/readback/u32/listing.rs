//! What `tc filter show` prints, with or without `-s` and `-d`.
//!
//! Follows `print_filter` of iproute2's `tc/tc_filter.c`, `u32_print_opt` of `tc/f_u32.c`,
//! `tc/f_matchall.c`, `tc/f_bpf.c`, `tc/f_flower.c`, `tc/m_mirred.c` and `tc/m_gact.c`. What was printed is in the kernel, so node
//! ids and tables are taken as they stand.

mod flower;
mod lines;

use std::collections::BTreeMap;

use self::flower::Flower;
use self::lines::{action, end, hash_key, key, skip_to_parenthesis};
use super::ast::{Action, Classifier, Filters, HashKey, Knode, Pref, Source, Table};
use super::words::{Handle, Read, Words, class, decimal, device, hexadecimal, number, protocol};
use crate::readback::ReadbackError;
use crate::readback::bpf::Program;

/// The tables that the kernel numbers have ids from here on, among them all root tables.
const FIRST_ROOT: u16 = 0x800;

/// The filters that are listed.
pub(super) fn filters(text: &str) -> Result<Filters, ReadbackError> {
    let mut reader = Reader::default();
    let mut last = Source {
        line: 1,
        text: String::new(),
    };
    for (at, line) in text.lines().enumerate() {
        let source = Source {
            line: at + 1,
            text: line.trim().to_owned(),
        };
        reader
            .line(&source)
            .map_err(|reason| source.refuse(reason))?;
        last = source;
    }
    reader.close().map_err(|reason| last.refuse(reason))?;
    reader.finish(&last)
}

#[derive(Debug, Default)]
struct Reader {
    filters: Filters,
    /// The preference of each table.
    belongs: BTreeMap<u16, u16>,
    /// The rule whose lines are being read.
    open: Option<Open>,
    /// Whether `flowid` is printed with a star.
    star: Option<bool>,
}

/// A rule of which more lines may follow.
#[derive(Debug)]
struct Open {
    place: Place,
    knode: Knode,
    /// Whether the rule is final.
    terminal: bool,
    /// The one action, which may be one that goes on.
    action: Option<Option<Action>>,
}

#[derive(Clone, Debug)]
enum Place {
    Node(Handle),
    Matchall {
        pref: u16,
        protocol: u16,
    },
    Bpf {
        pref: u16,
        protocol: u16,
        program: Program,
    },
    Flower(Flower),
}

impl Reader {
    fn line(&mut self, source: &Source) -> Read<()> {
        let mut words = Words::new(&source.text);
        let Some(first) = words.next() else {
            return Ok(());
        };
        if first == "filter" {
            self.close()?;
            return self.filter(words, source);
        }
        let open = self
            .open
            .as_mut()
            .ok_or_else(|| "this line belongs to no rule".to_owned())?;
        if let Place::Flower(flower) = &mut open.place
            && flower.key(first, &mut words)?
        {
            return end(&mut words);
        }
        match first {
            "match" => open.knode.keys.push(key(words)?),
            "hash" => open.knode.hash = hash_key(words)?,
            "action" => {
                if open.action.replace(action(words)?).is_some() {
                    return Err("more than one action is not understood".to_owned());
                }
            }
            "random" if (words.next(), words.next()) != (Some("type"), Some("none")) => {
                return Err("an action left to chance is not understood".to_owned());
            }
            "random" | "index" | "Sent" | "backlog" | "not_in_hw" | "skip_hw" => {}
            "Action" if words.next() == Some("statistics:") => {}
            _ => return Err("this line is not understood".to_owned()),
        }
        Ok(())
    }

    fn filter(&mut self, mut words: Words<'_>, source: &Source) -> Read<()> {
        let (mut pref, mut of) = (None, None);
        let kind = loop {
            let word = words
                .next()
                .ok_or_else(|| "no classifier is named".to_owned())?;
            match word {
                "dev" => {
                    words.value(word, device)?;
                }
                "ingress" => {}
                "parent" => {
                    words.value(word, |text| {
                        class(text).filter(|parent| matches!(parent, (0xffff, 0 | 0xfff2)))
                    })?;
                }
                "protocol" => of = Some(words.value(word, protocol)?),
                "pref" => {
                    pref = Some(words.value(word, |text| u16::try_from(decimal(text)?).ok())?);
                }
                "u32" | "matchall" | "bpf" | "flower" => break word,
                _ => return Err(format!("`{word}` is not understood")),
            }
        };
        let pref = pref.ok_or_else(|| "no preference is listed".to_owned())?;
        let protocol = of.ok_or_else(|| "no protocol is listed".to_owned())?;
        let mut chain = 0;
        if words.peek() == Some("chain") {
            words.next();
            chain = words.value("chain", number)?;
        }
        if kind == "flower" {
            return self.flower(words, source, chain, (pref, protocol));
        }
        if chain != 0 {
            return Err("of other chains only flower filters are understood".to_owned());
        }
        if kind == "matchall" {
            return self.matchall(words, source, pref, protocol);
        }
        if kind == "bpf" {
            return self.bpf(words, source, pref, protocol);
        }
        let known = self.filters.prefs.entry(pref).or_insert(Pref {
            protocol,
            // Which of its tables is the root is known at the end.
            classifier: Classifier::U32 { root: FIRST_ROOT },
        });
        if known.protocol != protocol || !matches!(known.classifier, Classifier::U32 { .. }) {
            return Err(format!("preference {pref} is listed in two ways"));
        }
        match words.next() {
            None => Ok(()),
            Some("fh") => {
                let handle = words.value("fh", Handle::read)?;
                match handle.node {
                    0 => self.table(words, handle, pref),
                    _ => self.knode(words, source, handle),
                }
            }
            Some(word) => Err(format!("`{word}` is not understood")),
        }
    }

    fn matchall(
        &mut self,
        mut words: Words<'_>,
        source: &Source,
        pref: u16,
        protocol: u16,
    ) -> Read<()> {
        let Some(word) = words.next() else {
            return Ok(());
        };
        if word != "handle" {
            return Err(format!("`{word}` is not understood"));
        }
        words.value(word, number)?;
        while let Some(word) = words.next() {
            match word {
                "flowid" => {
                    words.value(word, class)?;
                }
                _ => return Err(format!("`{word}` is not understood")),
            }
        }
        self.open = Some(Open::new(Place::Matchall { pref, protocol }, source));
        Ok(())
    }

    fn flower(
        &mut self,
        mut words: Words<'_>,
        source: &Source,
        chain: u32,
        (pref, outer): (u16, u16),
    ) -> Read<()> {
        let Some(word) = words.next() else {
            return Ok(());
        };
        if word != "handle" {
            return Err(format!("`{word}` is not understood"));
        }
        let handle = words.value(word, number)?;
        end(&mut words)?;
        let flower = Flower::new(chain, (pref, outer), handle);
        self.open = Some(Open::new(Place::Flower(flower), source));
        Ok(())
    }

    fn bpf(&mut self, mut words: Words<'_>, source: &Source, pref: u16, protocol: u16) -> Read<()> {
        let Some(word) = words.next() else {
            return Ok(());
        };
        if word != "handle" {
            return Err(format!("`{word}` is not understood"));
        }
        words.value(word, number)?;
        let mut program = None;
        while let Some(word) = words.next() {
            match word {
                "flowid" => {
                    words.value(word, class)?;
                }
                "skip_hw" | "not_in_hw" => {}
                "bytecode" => program = Some(Program::read(words.quoted(word, '\'')?)?),
                _ => return Err(format!("`{word}` is not understood")),
            }
        }
        let program = program.ok_or_else(|| "no program is listed".to_owned())?;
        let place = Place::Bpf {
            pref,
            protocol,
            program,
        };
        self.open = Some(Open::new(place, source));
        Ok(())
    }

    fn table(&mut self, mut words: Words<'_>, handle: Handle, pref: u16) -> Read<()> {
        let (Some(id), Some("ht"), Some("divisor")) =
            (handle.table_only(), words.next(), words.next())
        else {
            return Err("this table is not understood".to_owned());
        };
        let buckets = words.value("divisor", |text| {
            let buckets = u16::try_from(decimal(text)?).ok()?;
            (buckets.is_power_of_two() && buckets <= 256).then_some(buckets)
        })?;
        end(&mut words)?;
        let table = Table {
            buckets,
            root: false,
            knodes: BTreeMap::new(),
        };
        self.belongs.insert(id, pref);
        match self.filters.tables.insert(id, table) {
            None => Ok(()),
            Some(_) => Err(format!("table {id:x}: is listed twice")),
        }
    }

    fn knode(&mut self, mut words: Words<'_>, source: &Source, handle: Handle) -> Read<()> {
        let mut open = Open::new(Place::Node(handle), source);
        while let Some(word) = words.next() {
            match word {
                "order" => {
                    words.value(word, |text| {
                        decimal(text).filter(|&order| order == u32::from(handle.node))
                    })?;
                }
                "key" => {
                    words.value(word, |text| (text == "ht").then_some(()))?;
                    words.value("ht", |text| {
                        hexadecimal(text).filter(|&table| table == u32::from(handle.table))
                    })?;
                }
                "bkt" => {
                    words.value(word, |text| {
                        hexadecimal(text).filter(|&bucket| bucket == u32::from(handle.bucket))
                    })?;
                }
                "flowid" | "*flowid" => {
                    words.value("flowid", class)?;
                    // tc 6.1 and 6.2 print the star on final rules, other versions on all others.
                    // tc makes each rule with a class final, so one kind of them is all there is.
                    if *self.star.get_or_insert(word == "*flowid") != (word == "*flowid") {
                        return Err("which of these rules are final is not to be told".to_owned());
                    }
                    open.terminal = true;
                }
                "terminal" => {
                    words.value(word, |text| (text == "flowid").then_some(()))?;
                    if words.peek() == Some("???") {
                        words.next();
                    }
                    open.terminal = true;
                }
                "link" => {
                    open.knode.link =
                        Some(words.value(word, |text| Handle::read(text)?.table_only())?);
                }
                "skip_hw" | "not_in_hw" => {}
                "(rule" => skip_to_parenthesis(&mut words)?,
                _ => return Err(format!("`{word}` is not understood")),
            }
        }
        self.open = Some(open);
        Ok(())
    }

    /// Puts the rule whose lines have all been read in its place.
    fn close(&mut self) -> Read<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let action = open.action.unwrap_or(Some(Action::Pass));
        match open.place {
            Place::Matchall { pref, protocol } => {
                let source = open.knode.source;
                self.alone(pref, protocol, Classifier::Matchall { source, action })
            }
            Place::Flower(flower) => flower.add(&mut self.filters, open.knode.source, action),
            Place::Bpf {
                pref,
                protocol,
                program,
            } => {
                let classifier = Classifier::Bpf {
                    source: open.knode.source,
                    program,
                    action,
                };
                self.alone(pref, protocol, classifier)
            }
            Place::Node(handle) => {
                let knode = Knode {
                    action: if open.terminal { action } else { None },
                    ..open.knode
                };
                let id = handle.table;
                let table = self
                    .filters
                    .tables
                    .get_mut(&id)
                    .filter(|table| u16::from(handle.bucket) < table.buckets)
                    .ok_or_else(|| format!("table {id:x}: is not listed, or is smaller"))?;
                match table.knodes.insert((handle.bucket, handle.node), knode) {
                    None => Ok(()),
                    Some(_) => Err("this rule's handle is listed twice".to_owned()),
                }
            }
        }
    }

    /// A filter that has its preference for itself.
    fn alone(&mut self, pref: u16, protocol: u16, classifier: Classifier) -> Read<()> {
        let listed = Pref {
            protocol,
            classifier,
        };
        match self.filters.prefs.insert(pref, listed) {
            None => Ok(()),
            Some(_) => Err(format!("preference {pref} is listed in two ways")),
        }
    }

    /// Finds the root tables, and looks whether every link leads somewhere.
    fn finish(mut self, last: &Source) -> Result<Filters, ReadbackError> {
        for (id, pref) in &mut self.filters.prefs {
            if let Classifier::U32 { root } = &mut pref.classifier {
                let tables = &mut self.filters.tables;
                let mut numbered = self
                    .belongs
                    .iter()
                    .filter(|&(&table, of)| of == id && table >= FIRST_ROOT)
                    .map(|(&table, _)| table)
                    .filter(|table| tables.get(table).is_some_and(|table| table.buckets == 1));
                let (Some(only), None) = (numbered.next(), numbered.next()) else {
                    let reason = format!("preference {id} has no single root table");
                    return Err(last.refuse(reason));
                };
                *root = only;
                if let Some(table) = tables.get_mut(&only) {
                    table.root = true;
                }
            }
        }
        let tables = &self.filters.tables;
        for knode in tables.values().flat_map(|table| table.knodes.values()) {
            if let Some(link) = knode.link
                && tables.get(&link).is_none_or(|table| table.root)
            {
                let reason = format!("table {link:x}: is not listed, or is a root");
                return Err(knode.source.refuse(reason));
            }
        }
        Ok(self.filters)
    }
}

impl Open {
    fn new(place: Place, source: &Source) -> Self {
        Self {
            place,
            knode: Knode {
                source: source.clone(),
                keys: Vec::new(),
                link: None,
                hash: HashKey::default(),
                action: None,
            },
            terminal: false,
            action: None,
        }
    }
}
