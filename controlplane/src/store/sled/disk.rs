//! What is in the database, and the few operations on it.
//!
//! ```text
//! schema                                   u32, big-endian
//! head                                     identity and newest revision; the only key that ever changes
//! rev/ epoch u64 · number u64 · op u32 · chunk u32   a piece of one operation of one revision; written once
//! ```
//! The state is what the operations up to the head add up to. Chunks beyond the head belong to a commit that never happened;
//! operations that a later one replaced are dead. Both are removed when found.

use std::{collections::BTreeMap, fs::File};

use bytes::Bytes;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use super::{
    super::{
        Head, Key, Op, Revision, SCHEMA, StoreError,
        encoding::{decode_head, decode_op, encode_head, encode_op},
        key::{revision_bytes, revision_from},
    },
    folder::{Folder, refused},
};

const SCHEMA_KEY: &[u8] = b"schema";
const HEAD_KEY: &[u8] = b"head";
const PREFIX: &[u8] = b"rev/";

/// Where one operation is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) revision: Revision,
    op: u32,
    chunks: u32,
}

/// A live key: where its value is stored, and the value itself if it is resident.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) place: Place,
    pub(super) value: Option<Bytes>,
}

/// All live keys.
pub(super) type Index = BTreeMap<Key, Slot>;

/// An open database.
#[derive(Debug)]
pub(super) struct Disk {
    db: ::sled::Db,
    log: File,
}

impl Disk {
    /// Takes an open database, and a second handle of its log to sync by.
    pub(super) fn new(db: ::sled::Db, folder: &Folder) -> Result<Self, StoreError> {
        let path = folder.log();
        let log = File::open(&path).map_err(|error| refused(&path, &error))?;
        Ok(Self { db, log })
    }

    /// Writes schema and first head of a new store.
    pub(super) fn initialize(&self, head: &Head) -> Result<(), StoreError> {
        self.db
            .insert(SCHEMA_KEY, &SCHEMA.to_be_bytes())
            .map_err(unavailable)?;
        self.db
            .insert(HEAD_KEY, encode_head(head))
            .map_err(unavailable)?;
        self.make_durable()
    }

    /// The schema that is stored.
    pub(super) fn schema(&self) -> Result<u32, StoreError> {
        let bytes = self.db.get(SCHEMA_KEY).map_err(unavailable)?;
        let number = bytes
            .as_deref()
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes);
        number.ok_or_else(|| StoreError::Damaged("there is no schema in it".into()))
    }

    /// Reads head and live keys, and removes everything else.
    pub(super) fn load(&self) -> Result<(Head, Index), StoreError> {
        let bytes = self.db.get(HEAD_KEY).map_err(unavailable)?;
        let head = decode_head(
            &bytes.ok_or_else(|| StoreError::Damaged("there is no head in it".into()))?,
        )?;
        let mut index = Index::new();
        let mut orphans = Vec::new();
        for (place, record) in self.records(head.revision, &mut orphans)? {
            let op = decode_op(&record).map_err(|error| at(place, error))?;
            orphans.extend(apply(&mut index, op, place).flat_map(chunk_keys));
        }
        self.remove_keys(orphans)?;
        Ok((head, index))
    }

    /// Writes the operations of the next revision, moves the head to it, and returns once that is on the medium.
    pub(super) fn commit(
        &self,
        from: &Head,
        to: &Head,
        ops: &[Op],
    ) -> Result<Vec<Place>, StoreError> {
        let places = self.write(to.revision, ops)?;
        self.flip(from, to)?;
        self.make_durable()?;
        Ok(places)
    }

    /// Writes the operations of a revision, unseen until the head moves there.
    pub(super) fn write(&self, revision: Revision, ops: &[Op]) -> Result<Vec<Place>, StoreError> {
        let mut places = Vec::with_capacity(ops.len());
        for (op, index) in ops.iter().zip(0..) {
            let chunks = encode_op(op);
            let place = Place {
                revision,
                op: index,
                chunks: u32::try_from(chunks.len()).expect("values are at most 4 MiB"),
            };
            for (key, chunk) in chunk_keys(place).zip(chunks) {
                self.db.insert(key, chunk).map_err(unavailable)?;
            }
            places.push(place);
        }
        Ok(places)
    }

    /// Moves the head, if it is still where it was.
    fn flip(&self, from: &Head, to: &Head) -> Result<(), StoreError> {
        let (expected, next) = (encode_head(from), encode_head(to));
        let flipped = self.db.transaction(|tree| {
            if tree.get(HEAD_KEY)?.as_deref() != Some(&expected[..]) {
                return Err(ConflictableTransactionError::Abort(()));
            }
            tree.insert(HEAD_KEY, next.as_slice())?;
            Ok(())
        });
        flipped.map_err(|error| match error {
            TransactionError::Abort(()) => {
                StoreError::Unavailable("the head moved by another hand".into())
            }
            TransactionError::Storage(error) => unavailable(error),
        })
    }

    /// Returns once everything written is on the medium: `flush` alone is `sync_file_range`, which promises nothing.
    fn make_durable(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(unavailable)?;
        self.log
            .sync_all()
            .map_err(|error| StoreError::Unavailable(format!("fsync: {error}")))
    }

    /// Reads the operation at a place.
    pub(super) fn read(&self, place: Place) -> Result<Op, StoreError> {
        let mut record = Vec::new();
        for key in chunk_keys(place) {
            let chunk = self.db.get(key).map_err(unavailable)?;
            record.extend_from_slice(
                &chunk
                    .ok_or_else(|| at(place, StoreError::Damaged("a chunk is missing".into())))?,
            );
        }
        decode_op(&record).map_err(|error| at(place, error))
    }

    /// Removes dead operations, all or none: half of one could not be read again. Lost removals are made up for by
    /// [`Disk::load`].
    pub(super) fn remove(&self, dead: &[Place]) -> Result<(), StoreError> {
        self.remove_keys(dead.iter().copied().flat_map(chunk_keys))
    }

    fn remove_keys(&self, keys: impl IntoIterator<Item = Vec<u8>>) -> Result<(), StoreError> {
        let mut batch = ::sled::Batch::default();
        keys.into_iter().for_each(|key| batch.remove(key));
        self.db.apply_batch(batch).map_err(unavailable)
    }

    /// Joins chunks into records, oldest first; keys beyond the head go to `orphans`.
    fn records(
        &self,
        head: Revision,
        orphans: &mut Vec<Vec<u8>>,
    ) -> Result<Vec<(Place, Vec<u8>)>, StoreError> {
        let mut records: Vec<(Place, Vec<u8>)> = Vec::new();
        for item in self.db.scan_prefix(PREFIX) {
            let (key, chunk) = item.map_err(unavailable)?;
            let (revision, op, _) =
                parse(&key).ok_or_else(|| StoreError::Damaged(format!("{key:02x?} is no key")))?;
            match records.last_mut() {
                _ if revision > head => orphans.push(key.to_vec()),
                Some((place, record)) if (place.revision, place.op) == (revision, op) => {
                    place.chunks += 1;
                    record.extend_from_slice(&chunk);
                }
                _ => records.push((
                    Place {
                        revision,
                        op,
                        chunks: 1,
                    },
                    chunk.to_vec(),
                )),
            }
        }
        Ok(records)
    }
}

/// Brings an index up to date with an operation; returns the places that are dead now.
pub(super) fn apply(index: &mut Index, op: Op, place: Place) -> impl Iterator<Item = Place> {
    let (replaced, tombstone) = match op {
        Op::Delete(key) => (index.remove(&key), Some(place)),
        Op::Put(key, value) => {
            let value = key.family().is_resident().then_some(value);
            (index.insert(key, Slot { place, value }), None)
        }
    };
    replaced.map(|slot| slot.place).into_iter().chain(tombstone)
}

/// Words sled's error; of a copied I/O error only the kind reads well.
pub(super) fn words(error: &::sled::Error) -> String {
    match error {
        ::sled::Error::Io(error) if error.raw_os_error().is_none() => error.kind().to_string(),
        error => error.to_string(),
    }
}

fn unavailable(error: ::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Corruption { .. } => StoreError::Damaged("sled found a corrupt page".into()),
        error => StoreError::Unavailable(words(&error)),
    }
}

fn at(place: Place, error: StoreError) -> StoreError {
    match error {
        StoreError::Damaged(what) => StoreError::Damaged(format!(
            "revision {}, operation {}: {what}",
            place.revision, place.op
        )),
        error => error,
    }
}

fn chunk_keys(place: Place) -> impl Iterator<Item = Vec<u8>> {
    (0..place.chunks).map(move |chunk| {
        let mut key = PREFIX.to_vec();
        key.extend_from_slice(&revision_bytes(place.revision));
        key.extend_from_slice(&place.op.to_be_bytes());
        key.extend_from_slice(&chunk.to_be_bytes());
        key
    })
}

fn parse(key: &[u8]) -> Option<(Revision, u32, u32)> {
    let rest = key.strip_prefix(PREFIX)?;
    let (revision, rest) = rest.split_at_checked(16)?;
    let (op, chunk) = rest.split_first_chunk::<4>()?;
    Some((
        revision_from(revision)?,
        u32::from_be_bytes(*op),
        u32::from_be_bytes(chunk.try_into().ok()?),
    ))
}
