//! What is published: verdicts when a state changed, slot maps when one did.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Verdicts,
    keeper::Keeper,
    watched::{Watched, health},
};
use crate::probe::SlotMaps;

impl Keeper {
    /// Publishes slot maps; one whose nodes cannot be reached at first is not there.
    pub(super) fn publish_maps(&self) {
        let map = |(name, watched): (&Arc<str>, &Watched)| {
            Some((name.to_string(), Arc::clone(watched.map()?)))
        };
        let maps = SlotMaps {
            clusters: self.watched.iter().filter_map(map).collect(),
        };
        self.rounds.slot_maps.send_if_modified(|held| {
            let is_news = **held != maps;
            if is_news {
                *held = Arc::new(maps);
            }
            is_news
        });
    }

    /// Publishes verdicts when a state or the order of states changed.
    pub(super) fn publish(&mut self) {
        let held = self.rounds.verdicts.borrow().clone();
        let mut next: Option<Verdicts> = None;
        let names: Vec<_> = self.watched.keys().cloned().collect();
        for name in &names {
            let before = held.clusters.get(&**name);
            let Some(watched) = self.watched.get(name) else {
                continue;
            };
            let states = self.judge.shown(name).map(health);
            if before.is_some_and(|before| watched.is_as_told(before, states)) {
                continue;
            }
            let next = next.get_or_insert_with(|| (*held).clone());
            self.write(name, next);
        }
        if held.clusters.len() > names.len()
            || next
                .as_ref()
                .is_some_and(|next| next.clusters.len() > names.len())
        {
            let next = next.get_or_insert_with(|| (*held).clone());
            next.clusters
                .retain(|name, _| self.watched.contains_key(name.as_str()));
        }
        if let Some(next) = next {
            self.rounds.verdicts.send_replace(Arc::new(next));
        }
    }

    /// Renews what is shown to people, without waking anybody.
    pub(super) fn renew(&mut self) {
        let stale: Vec<_> = self
            .watched
            .iter()
            .filter(|(_, watched)| watched.is_stale)
            .map(|(name, _)| Arc::clone(name))
            .collect();
        if stale.is_empty() {
            return;
        }
        let mut next = (**self.rounds.verdicts.borrow()).clone();
        stale.iter().for_each(|name| self.write(name, &mut next));
        self.rounds.verdicts.send_if_modified(|held| {
            *held = Arc::new(next);
            false
        });
    }

    fn write(&mut self, name: &Arc<str>, verdicts: &mut Verdicts) {
        let findings = self.judge.findings(name);
        let now = Instant::now().into_std();
        if let Some(watched) = self.watched.get_mut(name) {
            let verdict = watched.verdict(findings, self.wall, now);
            verdicts.clusters.insert(name.to_string(), verdict);
        }
    }
}
