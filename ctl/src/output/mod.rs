//! What prismctl prints: documents on standard output in the form asked for, messages on standard error.

mod cells;
mod changes;
mod clusters;
mod dataplanes;
mod diff;
mod endpoints;
mod figures;
mod printer;
mod revisions;
mod status;
mod time;
mod yaml;

pub use cells::{Table, View};
pub use changes::{ChangeDocument, ChangesDocument, WarningDocument, change_kind};
pub use clusters::{ClusterDocument, ClustersDocument};
pub use dataplanes::{DataplaneDocument, DataplanesDocument};
pub use diff::{DiffDocument, cluster_diff};
pub use endpoints::{EndpointDocument, EndpointsDocument};
pub use figures::FiguresDocument;
pub use printer::{Printer, Show};
pub use revisions::{RevisionDocument, RevisionPlace, RevisionsDocument};
pub use status::StatusDocument;
pub use time::{age, age_of, rfc3339};
