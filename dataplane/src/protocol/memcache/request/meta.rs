//! Meta requests: a key, and flags of which few concern a proxy.

use super::{
    BAD_FORMAT, Command, ERROR, Located, MAX_KEY, Progress, RequestDecoder, refused,
    words::{Splitter, has_nul},
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
        for (span, flag) in words {
            match flag.first() {
                Some(b'b') => self.is_base64 = true,
                Some(b'N' | b'R' | b'T') => self.is_change = true,
                Some(b'q') => self.quiet = (self.quiet.0 + 1, span),
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
        let word = words.next().map_or(&b""[..], |(_, word)| word);
        let is_sound = key.len() <= MAX_KEY && !has_nul(line);
        self.keys.push(span);
        self.flags(words);
        self.await_data(buf, command, (word, is_sound), next)
    }
}
