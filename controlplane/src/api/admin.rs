//! The service that operators and their tools talk to.

use prism_proto::{
    model::Violations,
    pb::admin::v1::{
        ApplyRequest, ApplyResponse, DeleteClustersRequest, DeleteClustersResponse,
        GetClusterRequest, GetClusterResponse, GetFleetRequest, GetFleetResponse,
        ListClustersRequest, ListClustersResponse, ListDataplanesRequest, ListDataplanesResponse,
        ListEndpointsRequest, ListEndpointsResponse, ListRevisionsRequest, ListRevisionsResponse,
        WatchDataplanesRequest, WatchDataplanesResponse, WatchRequest, WatchResponse,
        fleet_service_server::FleetService,
    },
    status,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    Context, apply, figures, reply,
    status::{from_catalog, no_cluster},
    watch,
};
use crate::metrics::Call;

/// Revisions returned when no limit is given.
const DEFAULT_REVISIONS: u32 = 20;
/// Most revisions of one answer.
const MAX_REVISIONS: u32 = 1000;

/// Serves operators.
#[derive(Clone)]
pub struct AdminApi {
    context: Context,
}

impl AdminApi {
    /// Makes the service.
    pub fn new(context: Context) -> Self {
        Self { context }
    }

    fn answer<T>(
        &self,
        method: &'static str,
        answer: Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let outcome = match &answer {
            Ok(_) => "ok".to_owned(),
            Err(status) => format!("{:?}", status.code()).to_lowercase(),
        };
        self.context
            .metrics
            .calls
            .get_or_create(&Call { method, outcome })
            .inc();
        answer.map(Response::new)
    }

    fn endpoints(&self, only: &str) -> Result<ListEndpointsResponse, Status> {
        let image = self.context.catalog.image();
        if !only.is_empty() && !image.clusters.contains_key(only) {
            return Err(no_cluster(only));
        }
        let verdicts = self.context.verdicts.borrow();
        let chosen = image.clusters.values();
        let chosen = chosen.filter(|stored| only.is_empty() || stored.spec.name() == only);
        let endpoints = chosen.flat_map(|stored| {
            let verdict = verdicts.clusters.get(stored.spec.name());
            reply::endpoints(stored, stored.updated, verdict)
        });
        Ok(ListEndpointsResponse {
            endpoints: endpoints.collect(),
        })
    }

    /// Lists endpoints with what they say of themselves.
    async fn endpoints_with_figures(&self, only: &str) -> Result<ListEndpointsResponse, Status> {
        let mut listed = self.endpoints(only)?;
        figures::fill(&self.context, &mut listed.endpoints).await;
        Ok(listed)
    }

    async fn revisions(&self, limit: u32) -> Result<ListRevisionsResponse, Status> {
        if limit > MAX_REVISIONS {
            let text = format!("{limit} is more than {MAX_REVISIONS}");
            return Err(status::invalid_argument(&Violations::one("limit", text)));
        }
        let limit = if limit == 0 { DEFAULT_REVISIONS } else { limit };
        let history = self.context.catalog.history(limit as usize).await;
        let history = history.map_err(|error| from_catalog(&error))?;
        Ok(ListRevisionsResponse {
            revisions: history.into_iter().map(reply::history).collect(),
        })
    }

    fn fleet(&self) -> GetFleetResponse {
        let image = self.context.catalog.image();
        let health = self.context.catalog.health();
        let mut alarms = self.context.fleet.alarms();
        let store = match &health.failure {
            None => health.kind.to_owned(),
            Some(failure) => {
                alarms.push(format!("STORE_UNAVAILABLE: {failure}"));
                format!("{}, takes no writes: {failure}", health.kind)
            }
        };
        GetFleetResponse {
            fleet_id: image.fleet_id.clone(),
            revision: Some(reply::place(image.revision)),
            build: env!("CARGO_PKG_VERSION").into(),
            alarms,
            store,
        }
    }
}

#[tonic::async_trait]
impl FleetService for AdminApi {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;
    type WatchDataplanesStream = ReceiverStream<Result<WatchDataplanesResponse, Status>>;

    async fn apply(
        &self,
        request: Request<ApplyRequest>,
    ) -> Result<Response<ApplyResponse>, Status> {
        let answer = apply::apply(&self.context, request.into_inner()).await;
        self.answer("Apply", answer)
    }

    async fn get_cluster(
        &self,
        request: Request<GetClusterRequest>,
    ) -> Result<Response<GetClusterResponse>, Status> {
        let name = request.into_inner().name;
        let image = self.context.catalog.image();
        let stored = image.clusters.get(&name).ok_or_else(|| no_cluster(&name));
        let cluster = stored.map(|stored| GetClusterResponse {
            cluster: Some(reply::cluster(&self.context, stored)),
        });
        self.answer("GetCluster", cluster)
    }

    async fn list_clusters(
        &self,
        _request: Request<ListClustersRequest>,
    ) -> Result<Response<ListClustersResponse>, Status> {
        let image = self.context.catalog.image();
        let answer = ListClustersResponse {
            clusters: reply::clusters(&self.context, &image),
            revision: Some(reply::place(image.revision)),
        };
        self.answer("ListClusters", Ok(answer))
    }

    async fn delete_clusters(
        &self,
        request: Request<DeleteClustersRequest>,
    ) -> Result<Response<DeleteClustersResponse>, Status> {
        let answer = apply::delete(&self.context, request.into_inner()).await;
        self.answer("DeleteClusters", answer)
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let from = request.into_inner().from.map(reply::revision);
        let answer = watch::clusters(&self.context, from).await;
        self.answer("Watch", answer)
    }

    async fn list_dataplanes(
        &self,
        _request: Request<ListDataplanesRequest>,
    ) -> Result<Response<ListDataplanesResponse>, Status> {
        let head = self.context.catalog.image().revision;
        let answer = ListDataplanesResponse {
            dataplanes: self.context.fleet.list(head),
            revision: Some(reply::place(head)),
        };
        self.answer("ListDataplanes", Ok(answer))
    }

    async fn watch_dataplanes(
        &self,
        _request: Request<WatchDataplanesRequest>,
    ) -> Result<Response<Self::WatchDataplanesStream>, Status> {
        let answer = watch::dataplanes(&self.context);
        self.answer("WatchDataplanes", Ok(answer))
    }

    async fn list_endpoints(
        &self,
        request: Request<ListEndpointsRequest>,
    ) -> Result<Response<ListEndpointsResponse>, Status> {
        let request = request.into_inner();
        let answer = if request.with_figures {
            self.endpoints_with_figures(&request.cluster).await
        } else {
            self.endpoints(&request.cluster)
        };
        self.answer("ListEndpoints", answer)
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Status> {
        let answer = self.revisions(request.into_inner().limit).await;
        self.answer("ListRevisions", answer)
    }

    async fn get_fleet(
        &self,
        _request: Request<GetFleetRequest>,
    ) -> Result<Response<GetFleetResponse>, Status> {
        self.answer("GetFleet", Ok(self.fleet()))
    }
}
