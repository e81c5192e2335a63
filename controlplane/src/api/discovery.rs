//! The service that data planes talk to.

use prism_proto::pb::discovery::v1::{
    SyncRequest, SyncResponse, discovery_service_server::DiscoveryService,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Context, stream};

/// Messages that wait for the connection of one data plane.
const OUTBOX: usize = 2;

/// Serves the streams of data planes.
#[derive(Clone)]
pub struct DiscoveryApi {
    context: Context,
}

impl DiscoveryApi {
    /// Makes the service.
    pub fn new(context: Context) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl DiscoveryService for DiscoveryApi {
    type SyncStream = ReceiverStream<Result<SyncResponse, Status>>;

    async fn sync(
        &self,
        request: Request<Streaming<SyncRequest>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let peer = request
            .remote_addr()
            .map(|addr| addr.to_string())
            .unwrap_or_default();
        let (outbound, receiver) = mpsc::channel(OUTBOX);
        let stream = stream::run(self.context.clone(), request.into_inner(), outbound, peer);
        self.context.tasks.spawn(stream);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
