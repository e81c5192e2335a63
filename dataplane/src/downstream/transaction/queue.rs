//! What a transaction is to do: the requests as they will be sent, and the place where all their keys are.

use std::borrow::Cow;

use crate::{
    cluster::Batch,
    downstream::together::{self, CROSSSLOT},
    protocol::{
        message::{Limits, Progress, Span, bytes_of},
        redis::{
            command::{Class, Command, Key, KeyFlags, KeyList, find},
            request::RequestDecoder,
        },
    },
};

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// The text of an error, without `-` and line end.
pub(super) type Words = Cow<'static, str>;

/// Commands of one transaction, from MULTI on.
pub(super) struct Queue {
    /// MULTI and what was queued, ready to be sent.
    bytes: Vec<u8>,
    count: u32,
    /// The first key, which says where the transaction runs.
    key: Option<Vec<u8>>,
    /// Where all keys are.
    unit: Option<usize>,
    is_write: bool,
    is_aborted: bool,
    /// The cluster's epoch under which the units were found.
    epoch: u32,
    /// The rules of access under which the commands were let in.
    rules: u32,
}

/// Where a command of a transaction may run.
enum Site {
    Anywhere,
    /// Where the argument at a position is.
    At(usize),
    Keys,
    Nowhere,
}

impl Queue {
    /// Makes the queue of a transaction that has just begun, where keys that must meet with its own are at `unit`.
    pub(super) fn new(unit: Option<usize>, batch: &Batch<'_>) -> Self {
        Self {
            bytes: MULTI.to_vec(),
            count: 0,
            key: None,
            unit,
            is_write: false,
            is_aborted: false,
            epoch: batch.epoch(),
            rules: batch.cluster().rules(),
        }
    }

    /// Adds a command; one of an aborted transaction is not kept, but found right or wrong all the same.
    ///
    /// # Errors
    /// The words for the client when it cannot be part of the transaction.
    pub(super) fn push(
        &mut self,
        command: &'static Command,
        request: (&[u8], &[Span]),
        batch: &Batch<'_>,
    ) -> Result<(), Words> {
        // Messages of one session keep their order, as writes do.
        let is_write = command.write || matches!(command.class, Class::Script | Class::PubSub);
        let keys = match site(command, batch) {
            Site::Anywhere => KeyList::new(),
            Site::At(position) => [Key {
                position,
                flags: KeyFlags::default(),
            }]
            .into_iter()
            .collect(),
            Site::Keys => {
                let keys = together::keys_of(command, request, batch)?;
                if keys.is_malformed && batch.cluster().settings_ref().is_cluster {
                    // A node takes other words for its keys, and would send the whole transaction after them.
                    return Err(format!(
                        "ERR prism: '{}' in a transaction does not say where its keys are",
                        command.name
                    )
                    .into());
                }
                keys.list
            }
            Site::Nowhere => {
                let name = command.name;
                return Err(
                    format!("ERR prism: '{name}' cannot be part of a transaction here").into(),
                );
            }
        };
        self.push_keyed((&keys, is_write), request, batch)
    }

    /// Adds a command that touches `keys`; see [`Queue::push`].
    pub(super) fn push_keyed(
        &mut self,
        (keys, is_write): (&[Key], bool),
        (raw, args): (&[u8], &[Span]),
        batch: &Batch<'_>,
    ) -> Result<(), Words> {
        for key in keys {
            let span = args.get(key.position);
            self.meet(span.map_or(&[][..], |span| bytes_of(raw, span)), batch)?;
        }
        if self.is_aborted {
            return Ok(());
        }
        let limit = batch.cluster().settings_ref().limits.max_request_bytes;
        if self.bytes.len() + raw.len() > limit {
            return Err(
                format!("ERR prism: transaction is over the limit of {limit} bytes").into(),
            );
        }
        self.bytes.extend_from_slice(raw);
        self.count += 1;
        self.is_write |= is_write;
        Ok(())
    }

    /// Notes that one more key is needed where all others are.
    fn meet(&mut self, key: &[u8], batch: &Batch<'_>) -> Result<(), Words> {
        let is_here = batch
            .do_meet(&mut self.unit, [key])
            .map_err(|error| format!("ERR prism: {error}"))?;
        if !is_here {
            return Err(String::from_utf8_lossy(CROSSSLOT));
        }
        self.key.get_or_insert_with(|| key.to_vec());
        Ok(())
    }

    /// Notes that the transaction will not run, and forgets what it was to do.
    pub(super) fn abort(&mut self) {
        self.is_aborted = true;
        self.bytes = Vec::new();
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted
    }

    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    pub(super) fn is_write(&self) -> bool {
        self.is_write
    }

    /// Returns the number of replies that it brings, those to MULTI and EXEC among them.
    pub(super) fn replies(&self) -> u32 {
        self.count + 2
    }

    /// Looks whether what was found when the commands were queued still holds.
    ///
    /// # Errors
    /// The words for the client when it does not.
    pub(super) fn check(&self, batch: &Batch<'_>) -> Result<(), &'static [u8]> {
        if self.rules != batch.cluster().rules() {
            return Err(b"EXECABORT Transaction discarded because the rules of access changed.");
        }
        if self.epoch != batch.epoch() && !self.still_meets(batch) {
            return Err(b"EXECABORT Transaction discarded because its keys moved apart.");
        }
        Ok(())
    }

    /// Returns whether all keys still meet, though the cluster's endpoints have changed.
    fn still_meets(&self, batch: &Batch<'_>) -> bool {
        let mut again = Self::new(None, batch);
        let mut decoder = RequestDecoder::new(Limits::default());
        let mut rest = self.bytes.get(MULTI.len()..).unwrap_or_default();
        while let Ok(Progress::Complete { len }) = decoder.decode(rest) {
            let args = decoder.args();
            let Ok(command) = find(rest, args) else {
                return false;
            };
            let (request, behind) = rest.split_at(len);
            if again.push(command, (request, args), batch).is_err() {
                return false;
            }
            rest = behind;
        }
        rest.is_empty()
    }

    /// Returns the first key, and the whole transaction as it is to be sent.
    pub(super) fn into_block(mut self) -> (Option<Vec<u8>>, Vec<u8>) {
        self.bytes.extend_from_slice(EXEC);
        (self.key, self.bytes)
    }
}

/// Returns where a command may run that is not sent alone.
fn site(command: &Command, batch: &Batch<'_>) -> Site {
    let is_cluster = batch.cluster().settings_ref().is_cluster;
    let is_alone = !is_cluster && !batch.is_spread();
    match command.class {
        Class::Block
        | Class::BlockNumkeys
        | Class::Same
        | Class::SameNumkeys
        | Class::SameSpecial
        | Class::Script
        | Class::ScriptRead
        | Class::SingleRead
        | Class::SingleWrite
        | Class::Split(_)
        | Class::Streams
        | Class::Subkey => Site::Keys,
        // One endpoint tells all others of it.
        Class::PubSub if command.name == "publish" && is_cluster => Site::Anywhere,
        Class::PubSub | Class::PubSubShard if command.name.ends_with("publish") => Site::At(1),
        Class::Local | Class::Transaction => match command.name {
            "echo" | "ping" | "time" | "unwatch" => Site::Anywhere,
            _ => Site::Nowhere,
        },
        Class::Any | Class::Broadcast if command.name != "wait" && is_alone => Site::Anywhere,
        _ => Site::Nowhere,
    }
}
