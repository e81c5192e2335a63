//! Meta requests: a key, and flags of which few concern a proxy.

use super::{
    BAD_FORMAT, Command, ERROR, Located, MAX_KEY, Progress, RequestDecoder, Stage, TOO_LARGE,
    refused,
    words::{Splitter, data_len, has_nul},
};

impl RequestDecoder {
    pub(super) fn meta(&mut self, command: &'static Command, mut words: Splitter<'_>) -> Located {
        let line = words.line;
        let Some((span, key)) = words.next() else {
            return refused(match command.name {
                "me" => BAD_FORMAT,
                _ => ERROR,
            });
        };
        if key.len() > MAX_KEY || has_nul(line) {
            return refused(BAD_FORMAT);
        }
        self.keys.push(span);
        self.flags(words);
        Located::Command(command)
    }

    /// Notes the flags that say how a meta request is routed and answered; what others mean is the endpoint's.
    fn flags(&mut self, words: Splitter<'_>) {
        for (_, flag) in words {
            match flag.first() {
                Some(b'b') => self.is_base64 = true,
                Some(b'N' | b'R' | b'T') => self.is_change = true,
                Some(b'q') => self.is_quiet = true,
                _ => {}
            }
        }
    }

    pub(super) fn meta_storage(
        &mut self,
        buf: &[u8],
        command: &'static Command,
        mut words: Splitter<'_>,
        next: usize,
    ) -> Progress {
        let line = words.line;
        let Some((span, key)) = words.next() else {
            return self.complete(refused(ERROR), next);
        };
        let len = words.next().and_then(|(_, word)| data_len(word));
        let swallow = len.map_or(0, |len| len + 2);
        let is_sound = key.len() <= MAX_KEY && !has_nul(line);
        let Some(len) = len.filter(|_| is_sound) else {
            let reply = self.refused_format(swallow);
            return self.complete(reply, next);
        };
        if next + swallow > self.limits.max_request_bytes {
            let reply = self.refusal(TOO_LARGE, swallow);
            return self.complete(reply, next);
        }
        self.keys.push(span);
        self.flags(words);
        self.data = next as u32..(next + len) as u32;
        self.stage = Stage::Data(command);
        self.data(buf, command)
    }
}
