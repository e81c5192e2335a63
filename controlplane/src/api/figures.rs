//! Puts figures beside listed endpoints.

use std::time::SystemTime;

use prism_proto::pb::admin::v1::{Endpoint, EndpointFigures};

use super::Context;
use crate::{
    health::Reading,
    probe::{Figures, Target},
    verdict::EndpointName,
};

/// What is said of an endpoint that was not read.
const NOT_READ: &str = "it was not read in time";

/// Asks endpoints for their figures; one that does not answer says why.
pub(super) async fn fill(context: &Context, endpoints: &mut [Endpoint]) {
    let image = context.catalog.image();
    let target = |endpoint: &Endpoint| {
        let stored = image.clusters.get(&endpoint.cluster)?;
        let addr = endpoint.addr.parse().ok()?;
        Some((name(endpoint), Target::of(stored.spec.cluster(), addr)))
    };
    let targets = endpoints.iter().filter_map(target).collect();
    let readings = context.readings.read(targets).await;
    for endpoint in endpoints {
        match readings.get(&name(endpoint)) {
            None => endpoint.figures_error = NOT_READ.into(),
            Some(Reading { time, said, .. }) => match said {
                Ok(figures) => endpoint.figures = Some(shown(figures, *time)),
                Err(error) => endpoint.figures_error.clone_from(error),
            },
        }
    }
}

fn name(endpoint: &Endpoint) -> EndpointName {
    EndpointName {
        cluster: endpoint.cluster.as_str().into(),
        addr: endpoint.addr.as_str().into(),
    }
}

fn shown(figures: &Figures, time: SystemTime) -> EndpointFigures {
    EndpointFigures {
        read_time: Some(time.into()),
        uptime: figures.uptime.and_then(|uptime| uptime.try_into().ok()),
        items: figures.items,
        used_bytes: figures.used_bytes,
        limit_bytes: figures.limit_bytes,
        hits: figures.hits,
        misses: figures.misses,
        evictions: figures.evictions,
        connections: figures.connections,
    }
}
