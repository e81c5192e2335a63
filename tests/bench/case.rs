//! What is measured: the table of cases.

use std::fmt;

/// What a proxy stands in front of; each has three endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    /// A Redis Cluster of three primaries.
    Cluster,
    /// A pool of Memcached.
    Memcache,
    /// A pool of Redis.
    Redis,
}

impl Topology {
    /// All of them, in the order they are visited.
    pub(crate) const ALL: [Self; 3] = [Self::Redis, Self::Memcache, Self::Cluster];

    /// The proxy others are compared with.
    pub(crate) fn base(self) -> &'static str {
        match self {
            Self::Cluster => "envoy",
            Self::Memcache | Self::Redis => "nutcracker",
        }
    }

    /// The name used on the command line, in cases and in rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Memcache => "memcache",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// How clients behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Each connection sends `depth` requests at once, and the next ones when all are answered.
    Closed {
        /// Requests of one write.
        depth: usize,
    },
    /// Connections ask once and then say nothing.
    Idle {
        /// How many of them.
        connections: usize,
    },
    /// Requests arrive at random, independent of answers.
    Open {
        /// Requests a second.
        rate: u32,
    },
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) topology: Topology,
    pub(crate) pace: Pace,
    /// How many of a hundred requests are writes.
    pub(crate) set_percent: u32,
    pub(crate) value_bytes: usize,
}

impl Case {
    /// How many keys there are: fewer large values, so that all fit in memory.
    pub(crate) fn keys(&self) -> u32 {
        if self.value_bytes > 4096 {
            5_000
        } else {
            100_000
        }
    }

    /// Topology and name, as `--cases` matches them.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.topology, self.name)
    }
}

/// Every case; the one with large values last, since the keys are written anew for it.
pub(crate) const CASES: [Case; 14] = [
    closed(Topology::Redis, "get P1", 1, 0),
    closed(Topology::Redis, "get P16", 16, 0),
    closed(Topology::Redis, "mix P64", 64, 50),
    open(Topology::Redis, "open 5k/s", 5_000),
    open(Topology::Redis, "open 20k/s", 20_000),
    idle("idle 1000", 1_000),
    idle("idle 5000", 5_000),
    Case {
        value_bytes: 16 * 1024,
        ..closed(Topology::Redis, "mix P16 16KiB", 16, 50)
    },
    closed(Topology::Memcache, "get P1", 1, 0),
    closed(Topology::Memcache, "get P16", 16, 0),
    closed(Topology::Memcache, "mix P64", 64, 50),
    closed(Topology::Cluster, "get P1", 1, 0),
    closed(Topology::Cluster, "get P16", 16, 0),
    closed(Topology::Cluster, "mix P64", 64, 50),
];

const fn closed(topology: Topology, name: &'static str, depth: usize, set_percent: u32) -> Case {
    Case {
        name,
        topology,
        pace: Pace::Closed { depth },
        set_percent,
        value_bytes: 64,
    }
}

const fn open(topology: Topology, name: &'static str, rate: u32) -> Case {
    Case {
        name,
        topology,
        pace: Pace::Open { rate },
        set_percent: 0,
        value_bytes: 64,
    }
}

const fn idle(name: &'static str, connections: usize) -> Case {
    Case {
        name,
        topology: Topology::Redis,
        pace: Pace::Idle { connections },
        set_percent: 0,
        value_bytes: 64,
    }
}
