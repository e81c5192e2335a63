//! What happened to verdicts, for logs and for people.

use std::{fmt, sync::Arc, time::Duration};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An endpoint is not used from now on.
    Ejected {
        /// Its cluster.
        cluster: Arc<str>,
        /// Its address.
        endpoint: Arc<str>,
        /// Consecutive failed probes.
        failures: u32,
        /// The least time until it returns.
        time: Duration,
        /// What the last probe said.
        error: String,
    },
    /// An endpoint that answers is not used, for it could not be emptied.
    NotEmptied {
        /// Its cluster.
        cluster: Arc<str>,
        /// Its address.
        endpoint: Arc<str>,
        /// What went wrong.
        error: String,
    },
    /// Every endpoint of a cluster fails for us alone, or a zone does: we do not eject.
    ObserverSuspect {
        /// The cluster.
        cluster: Arc<str>,
        /// Whether this began or ended.
        began: bool,
    },
    /// Less than half of a cluster is healthy: ejections are suspended.
    Panic {
        /// The cluster.
        cluster: Arc<str>,
        /// Whether this began or ended.
        began: bool,
    },
    /// Every endpoint of a cluster fails for us while a data plane succeeds.
    Partitioned {
        /// The cluster.
        cluster: Arc<str>,
        /// Whether this began or ended.
        began: bool,
    },
    /// An endpoint is used again.
    Readmitted {
        /// Its cluster.
        cluster: Arc<str>,
        /// Its address.
        endpoint: Arc<str>,
        /// Whether it was emptied first.
        emptied: bool,
    },
    /// Our clock stood still: no ejection for a while.
    Slipped,
    /// A data plane refuses an ejection, for its own requests succeed.
    Vetoed {
        /// The cluster.
        cluster: Arc<str>,
        /// The endpoint.
        endpoint: Arc<str>,
        /// Who refuses.
        dataplane: Arc<str>,
        /// Whether the ejection is withdrawn everywhere.
        withdrawn: bool,
    },
    /// Enough is known to eject from now on.
    WarmedUp,
}

impl Event {
    /// Its name, as shown to people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ejected { .. } => "EJECTED",
            Self::NotEmptied { .. } => "FLUSH_FAILED",
            Self::ObserverSuspect { .. } => "OBSERVER_SUSPECT",
            Self::Panic { .. } => "PANIC",
            Self::Partitioned { .. } => "CONTROL_PLANE_PARTITIONED",
            Self::Readmitted { .. } => "READMITTED",
            Self::Slipped => "PROBER_SLIPPED",
            Self::Vetoed { .. } => "EJECTION_VETOED",
            Self::WarmedUp => "WARMED_UP",
        }
    }

    /// Whether someone should look at it.
    pub fn is_warning(&self) -> bool {
        !matches!(
            self,
            Self::Readmitted { .. }
                | Self::WarmedUp
                | Self::ObserverSuspect { began: false, .. }
                | Self::Panic { began: false, .. }
                | Self::Partitioned { began: false, .. }
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edge = |began: &bool| if *began { "begins" } else { "is over" };
        write!(f, "{}: ", self.name())?;
        match self {
            Self::Ejected {
                cluster,
                endpoint,
                failures,
                time,
                error,
            } => write!(
                f,
                "{cluster}/{endpoint} is not used for at least {time:.0?} after {failures} failed probes: {error}"
            ),
            Self::NotEmptied {
                cluster,
                endpoint,
                error,
            } => write!(
                f,
                "{cluster}/{endpoint} answers but stays ejected, for it could not be emptied: {error}"
            ),
            Self::ObserverSuspect { cluster, began } => {
                write!(f, "abstaining from ejections in {cluster} {}", edge(began))
            }
            Self::Panic { cluster, began } => {
                write!(
                    f,
                    "less than half of {cluster} is healthy: suspending its ejections {}",
                    edge(began)
                )
            }
            Self::Partitioned { cluster, began } => write!(
                f,
                "every endpoint of {cluster} fails for the control plane but not for data planes: this {}",
                edge(began)
            ),
            Self::Readmitted {
                cluster,
                endpoint,
                emptied,
            } => {
                let how = if *emptied { ", emptied" } else { "" };
                write!(f, "{cluster}/{endpoint} is used again{how}")
            }
            Self::Slipped => {
                f.write_str("probing stood still for more than 2s: no ejection for 30s")
            }
            Self::Vetoed {
                cluster,
                endpoint,
                dataplane,
                withdrawn,
            } => {
                let scope = if *withdrawn { "everywhere" } else { "there" };
                write!(
                    f,
                    "{cluster}/{endpoint} is reached by data plane {dataplane} and stays in use {scope}"
                )
            }
            Self::WarmedUp => f.write_str("enough is known to eject from now on"),
        }
    }
}
