//! Commands that the table does not have, as an endpoint describes them.

use std::borrow::Cow;

use super::super::reply::{array_elements, bulk_string, integer};
use super::{Begin, Class, Command, Find, KeyFlags, KeySpec, Keys, by_specs, lookup};
use crate::protocol::message::Span;

/// One command, from the reply to `COMMAND INFO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What the endpoint calls it, which is not what clients do where it was renamed.
    pub name: String,
    /// Arguments including the name; negative means at least.
    pub arity: i64,
    /// It may change data.
    pub is_write: bool,
    /// Flags as the endpoint names them.
    flags: Vec<String>,
    /// Categories as the endpoint names them, with `@`.
    categories: Vec<String>,
    /// Where its keys are.
    specs: Vec<KeySpec>,
}

/// Flags of commands that change the state of a connection, hold it up, or are not about keys.
const UNFIT: [&str; 4] = ["admin", "blocking", "noscript", "pubsub"];

impl Foreign {
    /// Reads the reply to a `COMMAND INFO` that asked about one name; nothing inside if no command has it.
    ///
    /// `None` if the reply is something else. Endpoints before Redis 7.0 tell of keys at fixed places only.
    pub fn read(reply: &[u8]) -> Option<Option<Self>> {
        let element = array_elements(reply)?.next()?;
        let Some(fields) = array_elements(element) else {
            return Some(None);
        };
        let fields: Vec<_> = fields.collect();
        let [name, arity, flags, first, last, step, rest @ ..] = fields.as_slice() else {
            return Some(None);
        };
        let flags: Vec<_> = array_elements(flags)?.filter_map(text).collect();
        let mut specs = match rest {
            [_, _, specs, ..] => array_elements(specs)?.filter_map(spec).collect(),
            _ => Vec::new(),
        };
        let categories = rest
            .first()
            .and_then(|categories| array_elements(categories));
        let categories = categories.into_iter().flatten().filter_map(text).collect();
        let is_movable = flags.iter().any(|flag| flag == "movablekeys");
        if specs.is_empty() && !is_movable {
            specs.extend(range(integer(first)?, integer(last)?, integer(step)?));
        }
        Some(Some(Self {
            name: text(name)?,
            arity: integer(arity)?,
            is_write: !flags.iter().any(|flag| flag == "readonly"),
            flags,
            categories,
            specs,
        }))
    }

    /// The row of the table that has the endpoint's name for it: it was renamed.
    pub fn original(&self) -> Option<&'static Command> {
        lookup(self.name.as_bytes())
    }

    /// Why it cannot be forwarded, whatever its arguments; the words follow its name.
    pub fn obstacle(&self) -> Option<Cow<'static, str>> {
        if let Some(row) = self.original()
            && !is_forwarded(row.class)
        {
            return Some(format!("is '{}' under another name", row.name).into());
        }
        let is_told = |spec: &KeySpec| {
            let is_known = spec.begin != Begin::Unknown && spec.find != Find::Unknown;
            is_known && !spec.flags.is_incomplete() && !spec.flags.is_channel()
        };
        if let Some(flag) = self
            .flags
            .iter()
            .find(|flag| UNFIT.contains(&flag.as_str()))
        {
            return Some(format!("is flagged {flag} by its endpoint").into());
        }
        if self.specs.is_empty() {
            return Some("has no keys that say where it belongs".into());
        }
        let are_told = self.specs.iter().all(is_told);
        (!are_told).then(|| "does not say where all its keys are".into())
    }

    /// Whether it belongs to the access category `category`, named without `@`.
    pub fn is_in(&self, category: &str) -> bool {
        let mut categories = self.categories.iter();
        categories.any(|word| word.strip_prefix('@') == Some(category))
    }

    /// Whether `argc` arguments, the name included, are right for it.
    pub fn is_arity_ok(&self, argc: usize) -> bool {
        let argc = i64::try_from(argc).unwrap_or(i64::MAX);
        argc == self.arity || (self.arity < 0 && argc >= -self.arity)
    }

    /// The keys of a request.
    pub fn keys(&self, raw: &[u8], args: &[Span]) -> Keys {
        by_specs(&self.specs, raw, args)
    }
}

/// Whether commands of `class` go to where their keys are, all of which the endpoint tells.
fn is_forwarded(class: Class) -> bool {
    matches!(
        class,
        Class::Same
            | Class::SameNumkeys
            | Class::SingleRead
            | Class::SingleWrite
            | Class::Split(_)
            | Class::Subkey
    )
}

fn text(reply: &[u8]) -> Option<String> {
    let bytes = bulk_string(reply)?;
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// A specification of keys at fixed places.
fn range(first: i64, last: i64, step: i64) -> Option<KeySpec> {
    let begin = u16::try_from(first).ok().filter(|first| *first > 0)?;
    let last = if last < 0 { last } else { last - first };
    Some(KeySpec {
        flags: KeyFlags::default(),
        begin: Begin::Index(begin),
        find: Find::Range {
            last: i16::try_from(last).ok()?,
            step: u16::try_from(step).ok()?,
            limit: 0,
        },
    })
}

/// Reads one specification; what is not understood is unknown.
fn spec(reply: &[u8]) -> Option<KeySpec> {
    let flags = array_elements(field(reply, "flags")?)?;
    let words = flags.filter_map(bulk_string);
    Some(KeySpec {
        flags: KeyFlags::of_words(words),
        begin: field(reply, "begin_search")
            .and_then(begin)
            .unwrap_or(Begin::Unknown),
        find: field(reply, "find_keys")
            .and_then(find)
            .unwrap_or(Find::Unknown),
    })
}

fn begin(reply: &[u8]) -> Option<Begin> {
    let spec = field(reply, "spec")?;
    match bulk_string(field(reply, "type")?)? {
        b"index" => number(spec, "index").map(Begin::Index),
        b"keyword" => {
            let from = integer(field(spec, "startfrom")?)?;
            let word = text(field(spec, "keyword")?)?;
            Some(Begin::Keyword(word.into(), i16::try_from(from).ok()?))
        }
        _ => None,
    }
}

fn find(reply: &[u8]) -> Option<Find> {
    let spec = field(reply, "spec")?;
    match bulk_string(field(reply, "type")?)? {
        b"range" => Some(Find::Range {
            last: i16::try_from(integer(field(spec, "lastkey")?)?).ok()?,
            step: number(spec, "keystep")?,
            limit: number(spec, "limit")?,
        }),
        b"keynum" => Some(Find::Counted {
            count: number(spec, "keynumidx")?,
            first: number(spec, "firstkey")?,
            step: number(spec, "keystep")?,
        }),
        _ => None,
    }
}

fn number(map: &[u8], name: &str) -> Option<u16> {
    u16::try_from(integer(field(map, name)?)?).ok()
}

/// The value of a field of a map, which in RESP2 is an array.
fn field<'a>(map: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut elements = array_elements(map)?;
    while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
        if bulk_string(key) == Some(name.as_bytes()) {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply of redis-server 7.0.15 to `COMMAND INFO prismget` where GET was renamed.
    const GET: &str = "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n\
        *3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n\
        $12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n\
        $9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n\
        $7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";

    /// A command as `COMMAND INFO` of a server before 7.0 tells it.
    fn old(name: &str, arity: i64, flags: &[&str], keys: [i64; 3]) -> Foreign {
        let flags: String = flags.iter().map(|flag| format!("+{flag}\r\n")).collect();
        let count = flags.matches('+').count();
        let [first, last, step] = keys;
        let reply = format!(
            "*1\r\n*6\r\n${}\r\n{name}\r\n:{arity}\r\n*{count}\r\n{flags}:{first}\r\n:{last}\r\n:{step}\r\n",
            name.len()
        );
        Foreign::read(reply.as_bytes()).unwrap().unwrap()
    }

    fn positions(foreign: &Foreign, argc: u32) -> Vec<usize> {
        let args: Vec<_> = (0..argc).map(|at| at..at + 1).collect();
        let keys = foreign.keys(&vec![b'1'; argc as usize], &args);
        keys.list.iter().map(|key| key.position).collect()
    }

    #[test]
    fn command_is_read_with_its_specifications_or_its_fixed_places() {
        let get = Foreign::read(GET.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (get.name.as_str(), get.arity, get.is_write),
            ("get", 2, false)
        );
        assert_eq!(get.specs, lookup(b"get").unwrap().key_specs());
        assert_eq!(get.obstacle(), None);
        assert!(get.is_arity_ok(2) && !get.is_arity_ok(3) && !get.is_arity_ok(1));
        let resp3 = GET
            .replacen("*2\r\n+readonly", "~2\r\n+readonly", 1)
            .replace("*6\r\n$5", "%3\r\n$5");
        assert_eq!(Foreign::read(resp3.as_bytes()), Some(Some(get)));
        let set = old("tair.mset", -3, &["write"], [1, -1, 2]);
        assert_eq!((set.is_write, positions(&set, 5)), (true, vec![1, 3]));
        let pair = old("x.pair", 4, &["write"], [2, 3, 1]);
        assert_eq!(positions(&pair, 4), [2, 3]);
        assert!(set.is_arity_ok(3) && set.is_arity_ok(9) && !set.is_arity_ok(2));
    }

    #[test]
    fn name_that_nobody_has_is_told_from_a_reply_that_says_nothing() {
        for reply in ["*1\r\n*-1\r\n", "*1\r\n$-1\r\n", "*1\r\n_\r\n"] {
            assert_eq!(Foreign::read(reply.as_bytes()), Some(None), "{reply}");
        }
        for reply in ["-ERR no\r\n", "+OK\r\n", "*0\r\n"] {
            assert_eq!(Foreign::read(reply.as_bytes()), None, "{reply}");
        }
    }

    #[test]
    fn what_cannot_be_forwarded_has_an_obstacle() {
        for (flags, keys, obstacle) in [
            (
                &["write", "admin"][..],
                [1, 1, 1],
                Some("is flagged admin by its endpoint"),
            ),
            (
                &["write", "blocking"],
                [1, 1, 1],
                Some("is flagged blocking by its endpoint"),
            ),
            (
                &["noscript", "fast"],
                [1, -1, 1],
                Some("is flagged noscript by its endpoint"),
            ),
            (
                &["readonly"],
                [0, 0, 0],
                Some("has no keys that say where it belongs"),
            ),
            (
                &["write", "movablekeys"],
                [1, 1, 1],
                Some("has no keys that say where it belongs"),
            ),
            (&["write"], [1, 1, 1], None),
        ] {
            let foreign = old("x.do", -2, flags, keys);
            assert_eq!(foreign.obstacle().as_deref(), obstacle, "{flags:?}");
        }
        let renamed = old("flushall", -1, &["write"], [1, 1, 1]);
        assert_eq!(
            renamed.obstacle().as_deref(),
            Some("is 'flushall' under another name")
        );
        let mut unclear = old("x.do", -2, &["write"], [1, 1, 1]);
        unclear
            .specs
            .extend_from_slice(lookup(b"sort").unwrap().key_specs());
        assert_eq!(
            unclear.obstacle().as_deref(),
            Some("does not say where all its keys are")
        );
    }
}
