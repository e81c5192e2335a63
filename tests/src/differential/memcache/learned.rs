//! CAS numbers: which of one side's stands for which of the other's.

use std::collections::{BTreeMap, BTreeSet};

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Proxy,
    Truth,
}

/// A number nobody has given.
const UNKNOWN: [u64; 2] = [912_345_678_901; 2];

/// What replies have told.
#[derive(Debug)]
pub(super) struct Learned {
    endpoints: usize,
    /// The proxy's number for one of the server's.
    pairs: BTreeMap<u64, u64>,
    /// The server's numbers for one of the proxy's: each endpoint counts for itself.
    back: BTreeMap<u64, BTreeSet<u64>>,
    by_key: BTreeMap<Vec<u8>, Vec<[u64; 2]>>,
}

impl Learned {
    /// Nothing yet; that many endpoints count.
    pub(super) fn new(endpoints: usize) -> Self {
        Self {
            endpoints,
            pairs: BTreeMap::new(),
            back: BTreeMap::new(),
            by_key: BTreeMap::new(),
        }
    }

    /// Whether the numbers can be those of one value, after all that was seen.
    pub(super) fn agree(&mut self, proxy: u64, truth: u64) -> bool {
        if proxy == 0 || truth == 0 {
            return proxy == truth;
        }
        let back = self.back.entry(proxy).or_default();
        back.insert(truth);
        back.len() <= self.endpoints && *self.pairs.entry(truth).or_insert(proxy) == proxy
    }

    /// Notes the numbers of a key.
    pub(super) fn note(&mut self, key: &[u8], proxy: u64, truth: u64) {
        let tokens = self.by_key.entry(key.to_vec()).or_default();
        if tokens.last() != Some(&[proxy, truth]) {
            tokens.push([proxy, truth]);
        }
    }

    /// What was learned of a key `age` numbers ago: for each side.
    pub(super) fn token(&self, key: &[u8], age: usize) -> [u64; 2] {
        let tokens = self.by_key.get(key).map_or(&[][..], |tokens| tokens);
        let at = tokens.len().checked_sub(age + 1);
        at.and_then(|at| tokens.get(at)).copied().unwrap_or(UNKNOWN)
    }
}
