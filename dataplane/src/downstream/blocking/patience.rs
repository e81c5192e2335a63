//! How long a client wants to wait, and a request that says how much of it is left.

use std::time::Duration;

use crate::protocol::{
    message::{Limits, Progress, Span, bytes_of},
    redis::{
        command::{Class, Command, streams},
        reply::{write_array_header, write_bulk},
        request::RequestDecoder,
    },
};

/// The time a request says it will wait, and how it says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Patience {
    /// Position of the argument.
    position: usize,
    unit: Unit,
    limit: Limit,
    /// It waits for what comes from now on.
    is_from_now: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Milliseconds,
    Seconds,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// The endpoint will say what is wrong with it.
    Amiss,
    Forever,
    Within(Duration),
}

/// Waits beyond this are waits for ever.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Patience {
    pub(super) fn of(command: &Command, raw: &[u8], args: &[Span]) -> Self {
        let (position, unit) = match command.class {
            Class::Streams => {
                let position = streams(raw, args).and_then(|streams| streams.block);
                (position.unwrap_or_default(), Unit::Milliseconds)
            }
            Class::BlockNumkeys => (1, Unit::Seconds),
            _ => (args.len().saturating_sub(1), Unit::Seconds),
        };
        let word = |span: &Span| bytes_of(raw, span);
        let text = args.get(position).map_or(&[][..], word);
        let limit = std::str::from_utf8(text).ok().and_then(|text| match unit {
            Unit::Milliseconds => text.parse().ok().map(Duration::from_millis),
            Unit::Seconds => Duration::try_from_secs_f64(text.parse().ok()?).ok(),
        });
        let starts = match (command.name, streams(raw, args)) {
            ("xread", Some(streams)) => args.get(streams.first + streams.count..),
            _ => None,
        };
        Self {
            position,
            unit,
            limit: match limit {
                None => Limit::Amiss,
                Some(limit) if limit.is_zero() || limit > LONGEST => Limit::Forever,
                Some(limit) => Limit::Within(limit),
            },
            is_from_now: starts.is_some_and(|starts| starts.iter().any(|span| word(span) == b"$")),
        }
    }

    /// Returns the time to wait, `None` for ever.
    pub(super) fn limit(&self) -> Option<Duration> {
        match self.limit {
            Limit::Within(limit) => Some(limit),
            Limit::Amiss | Limit::Forever => None,
        }
    }

    /// Returns whether the endpoint will refuse to wait so long.
    pub(super) fn is_amiss(&self) -> bool {
        self.limit == Limit::Amiss
    }

    /// Returns whether a second request would miss what came between.
    pub(super) fn is_from_now(&self) -> bool {
        self.is_from_now
    }

    /// Returns a request like `request` that waits for `remaining`.
    pub(super) fn shortened(&self, request: &[u8], remaining: Duration) -> Vec<u8> {
        let mut decoder = RequestDecoder::new(Limits::default());
        let Ok(Progress::Complete { .. }) = decoder.decode(request) else {
            return request.to_vec();
        };
        // Never 0, which is for ever.
        let millis = remaining.as_millis().max(1);
        let time = match self.unit {
            Unit::Milliseconds => millis.to_string(),
            Unit::Seconds => format!("{}.{:03}", millis / 1000, millis % 1000),
        };
        let mut out = Vec::new();
        write_array_header(&mut out, decoder.args().len());
        for (at, span) in decoder.args().iter().enumerate() {
            match at == self.position {
                true => write_bulk(&mut out, &time),
                false => write_bulk(&mut out, bytes_of(request, span)),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::redis::command::find;

    fn request(line: &str) -> Vec<u8> {
        let words: Vec<_> = line.split(' ').collect();
        let mut out = Vec::new();
        write_array_header(&mut out, words.len());
        for word in words {
            write_bulk(&mut out, word);
        }
        out
    }

    fn patience(request: &[u8]) -> Patience {
        let mut decoder = RequestDecoder::new(Limits::default());
        decoder.decode(request).expect("a request");
        let command = find(request, decoder.args()).expect("a command");
        Patience::of(command, request, decoder.args())
    }

    #[test]
    fn time_to_wait_is_found_and_shortened() {
        let left = Duration::from_millis(1500);
        for (line, limit, shortened) in [
            ("BLPOP a b 5", Some(5000), "BLPOP a b 1.500"),
            (
                "BLMOVE a b LEFT LEFT 2.5",
                Some(2500),
                "BLMOVE a b LEFT LEFT 1.500",
            ),
            ("BLMPOP 7 1 a LEFT", Some(7000), "BLMPOP 1.500 1 a LEFT"),
            ("BZPOPMIN a 0", None, "BZPOPMIN a 1.500"),
            ("BRPOP a -1", None, "BRPOP a 1.500"),
            (
                "XREAD COUNT 1 BLOCK 3000 STREAMS a $",
                Some(3000),
                "XREAD COUNT 1 BLOCK 1500 STREAMS a $",
            ),
        ] {
            let bytes = request(line);
            let patience = patience(&bytes);
            assert_eq!(patience.limit(), limit.map(Duration::from_millis), "{line}");
            assert_eq!(patience.shortened(&bytes, left), request(shortened));
        }
    }

    #[test]
    fn what_comes_from_now_on_is_told_from_what_is_there() {
        for (line, expected) in [
            ("XREAD BLOCK 0 STREAMS a b 0 $", true),
            ("XREAD BLOCK 0 STREAMS a $ 0 0", false),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS a >", false),
            ("BLPOP $ 0", false),
        ] {
            assert_eq!(patience(&request(line)).is_from_now(), expected, "{line}");
        }
    }
}
