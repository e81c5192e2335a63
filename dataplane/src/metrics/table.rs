//! The one table of metrics: for each its cell, its name as scraped, and what it says.

use prometheus_client::metrics::MetricType;

use super::{
    Counter, Gauge, Histogram,
    cell::{Cell, Sample},
};

/// One metric of the table: its name, what it says, and how it is read from the sums `S`.
#[derive(Debug)]
pub struct Row<S: 'static> {
    /// Name as scraped, but for the `_total` of a counter.
    pub name: &'static str,
    /// One sentence for people.
    pub help: &'static str,
    /// How a scrape names the kind.
    pub kind: MetricType,
    /// Reads the value.
    pub read: for<'a> fn(&'a S) -> Sample<'a>,
}

/// Makes the cells one writer holds, their sums over writers, and their rows, from one list.
macro_rules! table {
    ($(#[$doc:meta])* $cells:ident, $sums:ident { $($field:ident: $cell:ident $name:literal $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $cells { $(#[doc = $help] pub $field: $cell,)* }

        #[doc = concat!("Sums of [`", stringify!($cells), "`].")]
        #[derive(Clone, Debug, Default)]
        pub struct $sums { $(#[doc = $help] pub $field: <$cell as Cell>::Sum,)* }

        impl $cells {
            /// Adds these cells to `sums`.
            pub fn add_to(&self, sums: &mut $sums) {
                $(self.$field.add_to(&mut sums.$field);)*
            }

            /// Adds what outlives the owner of these cells to `sums`.
            pub fn retire_into(&self, sums: &mut $sums) {
                $(self.$field.retire_into(&mut sums.$field);)*
            }
        }

        impl $sums {
            /// The metrics, in the order of a scrape.
            pub const ROWS: &'static [Row<Self>] = &[
                $(Row { name: $name, help: $help, kind: <$cell as Cell>::KIND, read: |sums| <$cell as Cell>::sample(&sums.$field) },)*
            ];
        }
    };
}

table! {
    /// What one worker counts of one cluster.
    ClusterMetrics, ClusterSums {
        clients: Gauge "prism_downstream_connections" "Clients connected now.";
        connections_total: Counter "prism_downstream_accepted_connections" "Clients accepted.";
        clients_rejected_total: Counter "prism_downstream_rejected_connections" "Clients turned away by max_clients.";
        clients_closed_slow_total: Counter "prism_downstream_closed_slow_connections" "Clients closed because they did not take their replies.";
        requests_total: Counter "prism_downstream_requests" "Requests read from clients.";
        errors_total: Counter "prism_downstream_errors" "Requests answered with an error of the proxy's own.";
        refused_total: Counter "prism_downstream_refused" "Requests refused by rule: unknown, denied, not logged in, wrong arguments.";
        bytes_in_total: Counter "prism_downstream_received_bytes" "Bytes read from clients.";
        bytes_out_total: Counter "prism_downstream_sent_bytes" "Bytes written to clients.";
        latency: Histogram "prism_downstream_request_duration_seconds" "Time from request read to reply ready.";
        messages_total: Counter "prism_downstream_messages" "Messages of channels and patterns handed to clients.";
        subscription_gaps_total: Counter "prism_upstream_subscription_gaps" "Subscriptions that were interrupted and may have missed messages.";
        moved_total: Counter "prism_upstream_moved" "MOVED replies followed.";
        ask_total: Counter "prism_upstream_ask" "ASK replies followed.";
        redirect_exhausted_total: Counter "prism_upstream_redirects_exhausted" "Requests given up after too many redirects.";
        scripts_replayed_total: Counter "prism_upstream_scripts_replayed" "Scripts sent whole to endpoints that did not know them.";
        reports_dropped_total: Counter "prism_upstream_observations_dropped" "Observations dropped because the topology task was behind.";
    }
}

table! {
    /// What one worker counts of one endpoint of one cluster.
    EndpointMetrics, EndpointSums {
        requests_total: Counter "prism_upstream_requests" "Requests queued for an endpoint.";
        replies_total: Counter "prism_upstream_replies" "Replies read from an endpoint.";
        errors_total: Counter "prism_upstream_errors" "Requests that failed by the endpoint's fault.";
        timeouts_total: Counter "prism_upstream_timeouts" "Requests that an endpoint did not answer in time.";
        retries_total: Counter "prism_upstream_retries" "Requests sent again.";
        connect_total: Counter "prism_upstream_connects" "Connects tried.";
        connect_failures_total: Counter "prism_upstream_connect_failures" "Connects that failed.";
        connections: Gauge "prism_upstream_connections" "Connections to an endpoint open now.";
        leases: Gauge "prism_upstream_leases" "Private connections to an endpoint in use now.";
        pending: Gauge "prism_upstream_pending_requests" "Requests waiting for their reply now.";
        bytes_in_total: Counter "prism_upstream_received_bytes" "Bytes read from an endpoint.";
        bytes_out_total: Counter "prism_upstream_sent_bytes" "Bytes written to an endpoint.";
    }
}

table! {
    /// What the control thread counts: the discovery stream, applies, snapshots.
    ControlMetrics, ControlSums {
        connected: Gauge "prism_control_connected" "1 while a discovery stream is established.";
        stale: Gauge "prism_control_stale" "1 while no control plane confirms what is served.";
        foreign_fleet: Gauge "prism_control_foreign_fleet" "1 while the control plane belongs to another fleet.";
        epoch: Gauge "prism_control_epoch" "Epoch of the state in service.";
        revision: Gauge "prism_control_revision" "Revision of the state in service.";
        generation: Gauge "prism_control_generation" "Generation of the runtime in service.";
        clusters: Gauge "prism_control_clusters" "Clusters in service.";
        quarantined: Gauge "prism_control_quarantined_resources" "Resources not applied after crashes.";
        last_apply_seconds: Gauge "prism_control_last_apply_timestamp_seconds" "Unix time of the last apply that changed something.";
        applies_total: Counter "prism_control_applies" "Applies that changed something.";
        nacks_total: Counter "prism_control_nacks" "Resources rejected.";
        connects_total: Counter "prism_control_connects" "Discovery streams opened.";
        disconnects_total: Counter "prism_control_disconnects" "Discovery streams that ended or could not be opened.";
        pushes_total: Counter "prism_control_pushes" "Pushes received whole.";
        health_frames_total: Counter "prism_control_health_frames" "Health frames received.";
        health_skipped_total: Counter "prism_control_health_skipped" "Health of a cluster skipped: bound to another revision.";
        unknown_messages_total: Counter "prism_control_unknown_messages" "Messages of a kind that this build does not know.";
        snapshots_total: Counter "prism_control_snapshots" "Snapshots written.";
        snapshot_failures_total: Counter "prism_control_snapshot_failures" "Snapshots that could not be written.";
        start_seconds: Gauge "process_start_time_seconds" "Unix time of the start.";
    }
}
