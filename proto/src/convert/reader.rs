//! Reads values of messages that may be wrong, and keeps count of what is.

use std::time::Duration;

use prost_types::Duration as PbDuration;

use crate::{
    convert::choice::Numbered,
    model::{Secret, Violations},
    pb::config::v1 as pb,
};

/// Collects what is wrong while values are read.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) violations: Violations,
}

impl Reader {
    /// Reads a choice; a number that this version does not know is a violation, never a default.
    pub(super) fn choice<T: Numbered>(&mut self, field: &str, number: i32) -> Option<T> {
        if number == 0 {
            return None;
        }
        let choice = T::from_number(number);
        if choice.is_none() {
            let description = format!("value {number} is not known to this version");
            self.violations.push(field, description);
        }
        choice
    }

    /// Reads a duration; negative ones and those out of protobuf's range are violations.
    pub(super) fn duration(
        &mut self,
        field: &str,
        written: Option<PbDuration>,
    ) -> Option<Duration> {
        let written = written?;
        let duration = Duration::try_from(written).ok();
        if duration.is_none() || written.nanos < 0 || written.nanos >= 1_000_000_000 {
            let PbDuration { seconds, nanos } = written;
            let description = format!("{seconds} s {nanos} ns is not a duration from 0");
            self.violations.push(field, description);
        }
        duration
    }

    /// Reads a secret; one without a source is a violation.
    pub(super) fn secret(&mut self, field: &str, written: Option<&pb::Secret>) -> Option<Secret> {
        use pb::secret::Source;
        match &written?.source {
            Some(Source::Plain(text)) => Some(Secret::Plain(text.clone())),
            Some(Source::File(path)) => Some(Secret::File(path.into())),
            Some(Source::Env(name)) => Some(Secret::Env(name.clone())),
            Some(Source::Unchanged(shown)) => Some(Secret::Unchanged(shown.clone())),
            None => {
                self.violations.push(field, "has no source");
                None
            }
        }
    }
}

/// Reads a text where empty means "not written".
pub(super) fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
