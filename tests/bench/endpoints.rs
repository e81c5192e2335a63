//! The real caches behind the proxies, and their keys.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use prism_tests::{cluster::Cluster, memcached::Memcached, redis::Redis};

use crate::{
    case::{Case, Topology},
    load::Target,
    wire::{Dialect, Scanner, Tally, Template, key_name},
};

/// How many there are in every topology.
pub(crate) const COUNT: usize = 3;

/// When nodes of the cluster take each other for dead: long, since a loaded core starves them now and then.
const NODE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of one write while keys are filled in.
const CHUNK_BYTES: usize = 16 * 1024;

/// Three running caches.
pub(crate) enum Endpoints {
    /// Primaries of one Redis Cluster.
    Cluster(Cluster),
    /// Independent Memcached.
    Memcache(Vec<Memcached>),
    /// Independent Redis.
    Redis(Vec<Redis>),
}

impl Endpoints {
    /// Starts those of `topology`.
    pub(crate) fn start(topology: Topology) -> Self {
        match topology {
            Topology::Cluster => Self::Cluster(Cluster::start_with(COUNT, 0, NODE_TIMEOUT)),
            Topology::Memcache => Self::Memcache(Memcached::start_many(COUNT)),
            Topology::Redis => Self::Redis(Redis::start_many(COUNT)),
        }
    }

    /// What they speak.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Cluster(_) | Self::Redis(_) => Dialect::Redis,
            Self::Memcache(_) => Dialect::Memcache,
        }
    }

    /// Where they listen.
    pub(crate) fn addrs(&self) -> Vec<String> {
        match self {
            Self::Cluster(cluster) => cluster.seeds(),
            Self::Memcache(memcached) => memcached.iter().map(Memcached::addr).collect(),
            Self::Redis(redis) => redis.iter().map(Redis::addr).collect(),
        }
    }

    /// Their processes.
    pub(crate) fn pids(&mut self) -> Vec<u32> {
        match self {
            Self::Cluster(cluster) => {
                let nodes = cluster.nodes.iter_mut();
                nodes.map(|redis| redis.process().pid()).collect()
            }
            Self::Memcache(memcached) => {
                let memcached = memcached.iter_mut();
                memcached.map(|one| one.process().pid()).collect()
            }
            Self::Redis(redis) => {
                let redis = redis.iter_mut();
                redis.map(|one| one.process().pid()).collect()
            }
        }
    }

    /// Each of them with the keys it may be asked for: its slots' in a cluster, in a pool all, since all hold all.
    pub(crate) fn targets(&self, keys: u32) -> Vec<Target> {
        let owner = |key: u32| match self {
            Self::Cluster(cluster) => Some(cluster.first_owner(Cluster::slot(&key_name(key)))),
            Self::Memcache(_) | Self::Redis(_) => None,
        };
        let mut owned = vec![Vec::new(); COUNT];
        for key in 0..keys {
            match owner(key) {
                None => owned.iter_mut().for_each(|keys| keys.push(key)),
                Some(owner) => owned[owner].push(key),
            }
        }
        let addrs = self.addrs();
        addrs
            .into_iter()
            .zip(owned)
            .map(|(addr, keys)| Target {
                addr,
                keys: Arc::from(keys),
            })
            .collect()
    }

    /// Writes the keys of `case` with values of its size.
    ///
    /// # Errors
    /// When one is not stored.
    pub(crate) fn fill(&self, case: &Case) -> anyhow::Result<()> {
        let template = Template::set(self.dialect(), case.value_bytes);
        for target in self.targets(case.keys()) {
            fill(&target, &template, self.dialect())
                .with_context(|| format!("filling {}", target.addr))?;
        }
        Ok(())
    }
}

fn fill(target: &Target, template: &Template, dialect: Dialect) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(&target.addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut scanner = Scanner::new(dialect);
    let mut tally = Tally::default();
    let (mut out, mut sent) = (Vec::new(), 0);
    let mut scratch = [0; 4096];
    for (at, &key) in target.keys.iter().enumerate() {
        template.write(key, &mut out);
        sent += 1;
        if out.len() < CHUNK_BYTES && at + 1 < target.keys.len() {
            continue;
        }
        stream.write_all(&out)?;
        out.clear();
        while tally.replies < sent {
            let len = stream.read(&mut scratch)?;
            ensure!(len > 0, "closed");
            scanner.feed(&scratch[..len], &mut tally);
        }
    }
    ensure!(tally.errors == 0, "{:?}", tally.first_error);
    Ok(())
}
