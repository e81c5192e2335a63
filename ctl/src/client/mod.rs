//! The control plane's API, with its errors in the words of prismctl.

mod problem;

use std::time::Duration;

use prism_proto::pb::admin::v1::{self as pb, fleet_service_client::FleetServiceClient};
use tonic::{
    Request, Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::exit::{Exit, Failure};
use problem::{failure_of, is_worth_a_retry};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A whole history with definitions is larger than the 4 MiB that gRPC allows without being asked.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Waits between the attempts of a write; each attempt carries the same request id.
const RETRY_WAITS_MS: [u64; 4] = [100, 300, 700, 1500];

/// A control plane that answers.
#[derive(Clone, Debug)]
pub struct Client {
    service: FleetServiceClient<Channel>,
    server: String,
}

/// A stream of answers that ends with the connection.
#[derive(Debug)]
pub struct Answers<T> {
    stream: Streaming<T>,
    server: String,
}

impl<T> Answers<T> {
    /// Returns the next answer; `None` when the control plane ended the stream. Cancel safe.
    ///
    /// # Errors
    /// What the control plane says, or that it went away.
    pub async fn next(&mut self) -> Result<Option<T>, Failure> {
        let answer = self.stream.message().await;
        answer.map_err(|status| failure_of(&status, &self.server))
    }
}

impl Client {
    /// Prepares to talk to `server`, a URL or `host:port`; connects when first asked something.
    ///
    /// # Errors
    /// A usage failure when `server` is no URL.
    pub fn new(server: &str) -> Result<Self, Failure> {
        let invalid = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Usage, format!("--server {server}: {error}"))
                .hint("give a URL such as http://127.0.0.1:7100")
        };
        let server = match server.contains("://") {
            true => server.to_owned(),
            false => format!("http://{server}"),
        };
        let endpoint = Endpoint::from_shared(server.clone()).map_err(|error| invalid(&error))?;
        if endpoint.uri().scheme_str() != Some("http") {
            return Err(invalid(&"only http:// is supported by this version"));
        }
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .connect_lazy();
        Ok(Self {
            service: FleetServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES),
            server,
        })
    }

    /// The control plane's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Makes definitions true. Retries with the same request id, so it must carry one.
    ///
    /// # Errors
    /// What the control plane refuses, or that it does not answer.
    pub async fn apply(&self, request: pb::ApplyRequest) -> Result<pb::ApplyResponse, Failure> {
        self.write(async |mut service| service.apply(limited(request.clone())).await)
            .await
    }

    /// Removes clusters. Retries with the same request id, so it must carry one.
    ///
    /// # Errors
    /// What the control plane refuses, or that it does not answer.
    pub async fn delete_clusters(
        &self,
        request: pb::DeleteClustersRequest,
    ) -> Result<pb::DeleteClustersResponse, Failure> {
        self.write(async |mut service| service.delete_clusters(limited(request.clone())).await)
            .await
    }

    /// Returns one cluster.
    ///
    /// # Errors
    /// That there is none of this name, or that the control plane does not answer.
    pub async fn cluster(&self, name: &str) -> Result<pb::Cluster, Failure> {
        let request = pb::GetClusterRequest {
            name: name.to_owned(),
        };
        let answer = self.service.clone().get_cluster(limited(request)).await;
        Ok(self.read(answer)?.cluster.unwrap_or_default())
    }

    /// Returns all clusters.
    ///
    /// # Errors
    /// That the control plane does not answer.
    pub async fn clusters(&self) -> Result<pb::ListClustersResponse, Failure> {
        let request = limited(pb::ListClustersRequest {});
        self.read(self.service.clone().list_clusters(request).await)
    }

    /// Returns all data planes.
    ///
    /// # Errors
    /// That the control plane does not answer.
    pub async fn dataplanes(&self) -> Result<pb::ListDataplanesResponse, Failure> {
        let request = limited(pb::ListDataplanesRequest {});
        self.read(self.service.clone().list_dataplanes(request).await)
    }

    /// Returns the endpoints of one cluster, or of all for an empty name.
    ///
    /// # Errors
    /// That the control plane does not answer.
    pub async fn endpoints(&self, cluster: &str) -> Result<pb::ListEndpointsResponse, Failure> {
        self.list_endpoints(pb::ListEndpointsRequest {
            cluster: cluster.to_owned(),
            with_figures: false,
        })
        .await
    }

    /// Returns endpoints with what they say of themselves, which they are asked for.
    ///
    /// # Errors
    /// That the control plane does not answer.
    pub async fn endpoints_with_figures(
        &self,
        cluster: &str,
    ) -> Result<pb::ListEndpointsResponse, Failure> {
        self.list_endpoints(pb::ListEndpointsRequest {
            cluster: cluster.to_owned(),
            with_figures: true,
        })
        .await
    }

    async fn list_endpoints(
        &self,
        request: pb::ListEndpointsRequest,
    ) -> Result<pb::ListEndpointsResponse, Failure> {
        let request = limited(request);
        self.read(self.service.clone().list_endpoints(request).await)
    }

    /// Returns the kept history, newest first.
    ///
    /// # Errors
    /// That the control plane does not answer.
    pub async fn revisions(&self, limit: u32) -> Result<pb::ListRevisionsResponse, Failure> {
        let request = limited(pb::ListRevisionsRequest { limit });
        self.read(self.service.clone().list_revisions(request).await)
    }

    /// Returns the fleet's identity and head.
    ///
    /// # Errors
    /// That the control plane does not answer.
    pub async fn fleet(&self) -> Result<pb::GetFleetResponse, Failure> {
        let request = limited(pb::GetFleetRequest {});
        self.read(self.service.clone().get_fleet(request).await)
    }

    /// Streams the clusters and their changes.
    ///
    /// # Errors
    /// That the control plane does not answer.
    pub async fn watch_clusters(&self) -> Result<Answers<pb::WatchResponse>, Failure> {
        let stream = self
            .service
            .clone()
            .watch(pb::WatchRequest { from: None })
            .await;
        Ok(self.answers(self.read(stream)?))
    }

    /// Streams the list of data planes whenever it changes.
    ///
    /// # Errors
    /// That the control plane does not answer.
    pub async fn watch_dataplanes(&self) -> Result<Answers<pb::WatchDataplanesResponse>, Failure> {
        let request = pb::WatchDataplanesRequest {};
        let stream = self.service.clone().watch_dataplanes(request).await;
        Ok(self.answers(self.read(stream)?))
    }

    fn answers<T>(&self, stream: Streaming<T>) -> Answers<T> {
        Answers {
            stream,
            server: self.server.clone(),
        }
    }

    fn read<T>(&self, answer: Result<tonic::Response<T>, Status>) -> Result<T, Failure> {
        match answer {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(failure_of(&status, &self.server)),
        }
    }

    async fn write<T>(
        &self,
        attempt: impl AsyncFn(FleetServiceClient<Channel>) -> Result<tonic::Response<T>, Status>,
    ) -> Result<T, Failure> {
        for wait in RETRY_WAITS_MS {
            match attempt(self.service.clone()).await {
                Err(status) if is_worth_a_retry(&status) => {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                answer => return self.read(answer),
            }
        }
        self.read(attempt(self.service.clone()).await)
    }
}

fn limited<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn address_is_a_url_or_host_and_port() {
        for (given, wanted) in [
            ("http://127.0.0.1:7100", "http://127.0.0.1:7100"),
            ("127.0.0.1:7100", "http://127.0.0.1:7100"),
            ("[::1]:7100", "http://[::1]:7100"),
        ] {
            let client = Client::new(given).expect("an address");
            assert_eq!(client.server(), wanted);
        }
        for given in ["https://x:1", "not an address", "ftp://x"] {
            let failure = Client::new(given).map(|_| ()).expect_err("no address");
            assert_eq!(failure.exit, Exit::Usage, "{given}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable() {
        let free =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let client = Client::new(&free.expect("an address").to_string()).expect("an address");
        let failure = client.fleet().await.expect_err("nobody listens");
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(
            failure.message.contains("Connection refused"),
            "{failure:?}"
        );
    }
}
