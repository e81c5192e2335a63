//! Meta requests: a key, and flags of which few concern a proxy.

use super::{
    BAD_FORMAT, Command, ERROR, Located, MAX_KEY, Progress, RequestDecoder, refused,
    words::{Splitter, has_nul},
};

/// Most flags of a request with data, as in Memcached.
pub(super) const MAX_FLAGS: usize = 16;

const TOO_MANY_FLAGS: &[u8] = b"CLIENT_ERROR options flags too long\r\n";

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
        if command.name == "me" {
            // It knows one flag only, and in one place.
            self.has_key_back = true;
            self.is_base64 = words.next().is_some_and(|(_, flag)| flag == b"b");
        } else {
            self.flags(words);
        }
        Located::Command(command)
    }

    /// Notes the flags that say how a meta request is routed and answered; what others mean is the endpoint's. Returns how
    /// many there are.
    fn flags(&mut self, words: Splitter<'_>) -> usize {
        let mut count = 0;
        for (span, flag) in words {
            count += 1;
            match flag.first() {
                Some(b'b') => self.is_base64 = true,
                Some(b'N' | b'R' | b'T') => self.is_change = true,
                Some(b'k') => self.has_key_back = true,
                Some(b'q') => {
                    self.quiet_flag = (!self.is_quiet).then_some(span);
                    self.is_quiet = true;
                }
                _ => {}
            }
        }
        if count > MAX_FLAGS {
            // An endpoint that refuses it for that is to see all of them.
            self.quiet_flag = None;
        }
        count
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
        let count = self.flags(words);
        let refusal = match is_sound {
            false => Some(BAD_FORMAT),
            // Memcached gives such a line up before it knows of the data, and takes them for commands.
            true => (count > MAX_FLAGS).then_some(TOO_MANY_FLAGS),
        };
        self.await_data(buf, command, (word, refusal), next)
    }
}
