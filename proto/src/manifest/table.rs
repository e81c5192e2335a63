//! Reads one table key by key: what is asked for is known, the rest is an error.

use std::{collections::BTreeMap, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    manifest::{
        findings::Findings,
        unit::{self, Unit},
    },
    model::{Word, nearest},
};

/// A value and its place.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// One table that is being read.
pub(super) struct Table<'f, 't> {
    pub(super) findings: &'f mut Findings,
    table: &'t DeTable<'t>,
    path: String,
    known: Vec<&'static str>,
}

impl<'f, 't> Table<'f, 't> {
    /// Opens `value`, whose fields are below `path`.
    pub(super) fn open(
        findings: &'f mut Findings,
        value: &'t Value<'t>,
        path: String,
    ) -> Option<Self> {
        let place = (findings.source(), value.span());
        findings.places.insert(path.clone(), place.0, place.1);
        let Some(table) = value.get_ref().as_table() else {
            wrong_type(findings, value, "a table");
            findings.unread.insert(path);
            return None;
        };
        Some(Self {
            findings,
            table,
            path,
            known: Vec::new(),
        })
    }

    /// Calls every key that nobody asked for unknown.
    pub(super) fn close(self) {
        for (key, _) in self.table.iter() {
            let word = key.get_ref().as_ref();
            if self.known.contains(&word) {
                continue;
            }
            let message = format!("unknown key `{word}`");
            self.findings.fail(&key.span(), message);
            let meant = nearest(word, self.known.iter().copied());
            self.findings.suggest(meant);
        }
    }

    /// The path of a field of this table.
    pub(super) fn path(&self, field: &str) -> String {
        if self.path.is_empty() {
            return field.to_owned();
        }
        format!("{}.{field}", self.path)
    }

    /// Reads the value of the one of `keys` that is written; `keys` empty means `field` itself.
    pub(super) fn value(
        &mut self,
        field: &'static str,
        keys: &[&'static str],
    ) -> Option<&'t Value<'t>> {
        let own = [field];
        let keys = if keys.is_empty() { &own } else { keys };
        self.known.extend(keys);
        let mut found: Option<(&str, &'t Value<'t>)> = None;
        for key in keys {
            let Some((written, value)) = self.table.get_key_value(*key) else {
                continue;
            };
            if let Some((first, _)) = found {
                let message = format!("{key}: is ignored: {first} says the same");
                let at = (self.findings.source(), written.span());
                let diagnostic = self.findings.diagnose(at, message);
                self.findings.warnings.push(diagnostic);
                continue;
            }
            let (path, source) = (self.path(field), self.findings.source());
            self.findings.places.insert(path, source, value.span());
            found = Some((key, value));
        }
        found.map(|(_, value)| value)
    }

    /// Records that the value of `field` cannot be read.
    pub(super) fn fail(&mut self, field: &str, value: &Value<'_>, message: String) {
        let path = self.path(field);
        self.findings.unread.insert(path);
        let message = format!("{field}: {message}");
        self.findings.fail(&value.span(), message);
    }

    /// Warns about a key that is written.
    pub(super) fn warn(&mut self, key: &'static str, message: &str) {
        let Some((written, _)) = self.table.get_key_value(key) else {
            return;
        };
        let at = (self.findings.source(), written.span());
        let diagnostic = self.findings.diagnose(at, format!("{key}: {message}"));
        self.findings.warnings.push(diagnostic);
    }

    /// Knows a key that means nothing any more.
    pub(super) fn ignore(&mut self, key: &'static str, message: &str) {
        self.known.push(key);
        self.warn(key, message);
    }

    /// Reads a string.
    pub(super) fn text(&mut self, field: &'static str, keys: &[&'static str]) -> Option<String> {
        let value = self.value(field, keys)?;
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong(field, value, "a string");
        }
        text
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self, field: &'static str, keys: &[&'static str]) -> Option<bool> {
        let value = self.value(field, keys)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong(field, value, "true or false");
        }
        boolean
    }

    /// Reads an integer that fits `T`.
    pub(super) fn integer<T: TryFrom<i128>>(
        &mut self,
        field: &'static str,
        keys: &[&'static str],
    ) -> Option<T> {
        let value = self.value(field, keys)?;
        let Some(written) = integer(value) else {
            self.wrong(field, value, "an integer");
            return None;
        };
        let number = T::try_from(written).ok();
        if number.is_none() {
            self.fail(field, value, format!("{written} is out of range"));
        }
        number
    }

    /// Reads a number.
    pub(super) fn float(&mut self, field: &'static str, keys: &[&'static str]) -> Option<f64> {
        let value = self.value(field, keys)?;
        let number = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(written) => written.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong(field, value, "a number");
        }
        number
    }

    /// Reads a choice.
    pub(super) fn word<T: Word>(
        &mut self,
        field: &'static str,
        keys: &[&'static str],
    ) -> Option<T> {
        let value = self.value(field, keys)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(field, value, "a string");
            return None;
        };
        let choice = T::from_word(text);
        if choice.is_none() {
            let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
            let message = format!(
                "unknown value `{text}`; expected one of {}",
                words.join(", ")
            );
            self.fail(field, value, message);
            self.findings.suggest(nearest(text, words));
        }
        choice
    }

    /// Reads a time: a count of `unit`, or a text such as `2s`.
    pub(super) fn duration(
        &mut self,
        field: &'static str,
        keys: &[&'static str],
        unit: Unit,
    ) -> Option<Duration> {
        let value = self.value(field, keys)?;
        let duration = match value.get_ref() {
            DeValue::Integer(_) => integer(value)
                .and_then(|count| u64::try_from(count).ok())
                .map(|count| unit.duration(count)),
            DeValue::String(text) => unit::parse_duration(text),
            _ => None,
        };
        if duration.is_none() {
            let name = match unit {
                Unit::Microseconds => "microseconds",
                Unit::Milliseconds => "milliseconds",
                Unit::Seconds => "seconds",
            };
            let message = format!("expected {name} from 0, or a time such as \"2s\" or \"500ms\"");
            self.fail(field, value, message);
        }
        duration
    }

    /// Reads a size: bytes, or a text such as `64MiB`.
    pub(super) fn size(&mut self, field: &'static str) -> Option<u64> {
        let value = self.value(field, &[])?;
        let size = match value.get_ref() {
            DeValue::Integer(_) => integer(value).and_then(|size| u64::try_from(size).ok()),
            DeValue::String(text) => unit::parse_size(text),
            _ => None,
        };
        if size.is_none() {
            let message = "expected bytes from 0, or a size such as \"64MiB\"".to_owned();
            self.fail(field, value, message);
        }
        size
    }

    /// Reads an array.
    pub(super) fn array(
        &mut self,
        field: &'static str,
        keys: &[&'static str],
    ) -> Option<Vec<&'t Value<'t>>> {
        let value = self.value(field, keys)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(field, value, "an array");
            return None;
        };
        for (index, element) in array.iter().enumerate() {
            let path = self.path(&format!("{field}[{index}]"));
            let source = self.findings.source();
            self.findings.places.insert(path, source, element.span());
        }
        Some(array.iter().collect())
    }

    /// Reads an array of strings.
    pub(super) fn texts(&mut self, field: &'static str, keys: &[&'static str]) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.array(field, keys).unwrap_or_default() {
            match element.get_ref().as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.wrong(field, element, "a string"),
            }
        }
        texts
    }

    /// Reads a table of strings.
    pub(super) fn map(
        &mut self,
        field: &'static str,
        keys: &[&'static str],
    ) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let Some(value) = self.value(field, keys) else {
            return map;
        };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(field, value, "a table");
            return map;
        };
        for (key, value) in table.iter() {
            match value.get_ref().as_str() {
                Some(text) => {
                    map.insert(key.get_ref().clone().into_owned(), text.to_owned());
                }
                None => self.wrong(field, value, "a string"),
            }
        }
        map
    }

    /// Opens the table that is the value of `field`.
    pub(super) fn table(&mut self, field: &'static str) -> Option<Table<'_, 't>> {
        let value = self.value(field, &[])?;
        let path = self.path(field);
        Table::open(self.findings, value, path)
    }

    /// Records a value of another type than expected.
    pub(super) fn wrong(&mut self, field: &str, value: &Value<'_>, expected: &str) {
        let found = value.get_ref().type_str();
        self.fail(field, value, format!("expected {expected}, found {found}"));
    }
}

fn wrong_type(findings: &mut Findings, value: &Value<'_>, expected: &str) {
    let found = value.get_ref().type_str();
    let message = format!("expected {expected}, found {found}");
    findings.fail(&value.span(), message);
}

/// Reads an integer of any radix.
pub(super) fn integer(value: &Value<'_>) -> Option<i128> {
    let integer = value.get_ref().as_integer()?;
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}
