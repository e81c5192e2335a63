//! Probes over real connections: PING and INFO of Redis, CLUSTER NODES; for Memcached see its own file.

use std::{io, time::Duration};

use prism_proto::model::{CacheType, Credentials, EndpointAddr, Secret};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{
    About, Answer, Checked, Figures, Prober, Role, Target, View,
    figures::figures,
    flush::flush,
    memcached,
    nodes::read_nodes,
    reply::{Reply, ReplyError, read_reply},
};
use crate::verdict::Outcome;

/// Asks over the network, on a new connection each time: a probe also tells whether connecting works.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

impl Prober for Network {
    fn check(&self, target: Target) -> Answer<Checked> {
        Box::pin(check(target))
    }

    fn figures(&self, target: Target) -> Answer<Result<Figures, String>> {
        Box::pin(figures(target))
    }

    fn flush(&self, target: Target) -> Answer<Result<(), String>> {
        Box::pin(flush(target))
    }

    fn view(&self, target: Target) -> Answer<Result<View, String>> {
        Box::pin(view(target))
    }
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) type Connection = BufReader<Box<dyn Stream>>;

async fn check(target: Target) -> Checked {
    let began = Instant::now();
    let mut found = Found::default();
    let limit = target.timeout;
    let asked = async {
        match target.cache_type {
            CacheType::Memcache => ask_memcached(&target, &mut found, began).await,
            CacheType::Redis | CacheType::RedisCluster => {
                ask_redis(&target, &mut found, began).await
            }
        }
    };
    // What was said in time counts even when the rest came too late.
    let failure = match timeout(limit, asked).await {
        Err(_) => format!("no answer within {limit:?}"),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(())) => "no answer".into(),
    };
    Checked {
        outcome: found.outcome.unwrap_or(Outcome::Failed(failure)),
        latency: found.latency,
        about: found.about,
    }
}

#[derive(Debug, Default)]
struct Found {
    outcome: Option<Outcome>,
    latency: Option<Duration>,
    about: About,
}

impl Found {
    fn answered(&mut self, outcome: Outcome, began: Instant) {
        if outcome == Outcome::Ok {
            self.latency = Some(began.elapsed());
        }
        self.outcome = Some(outcome);
    }
}

async fn ask_redis(target: &Target, found: &mut Found, began: Instant) -> Result<(), ReplyError> {
    let mut connection = connect(&target.addr).await?;
    if let Err(refusal) = authenticate(&mut connection, target.credentials.as_ref()).await? {
        found.answered(refusal, began);
        return Ok(());
    }
    let asked = b"PING\r\nINFO replication\r\nINFO server\r\n";
    connection.get_mut().write_all(asked).await?;
    let reply = read_reply(&mut connection).await?;
    found.answered(class_of_ping(reply), began);
    if let Reply::Text(info) = read_reply(&mut connection).await? {
        read_replication(&info, &mut found.about);
    }
    if let Reply::Text(info) = read_reply(&mut connection).await? {
        found.about.software = field(&info, "redis_version").map(Into::into);
    }
    Ok(())
}

async fn ask_memcached(
    target: &Target,
    found: &mut Found,
    began: Instant,
) -> Result<(), ReplyError> {
    match memcached::open(target).await? {
        Ok(link) => {
            found.about.software = link.software;
            found.answered(Outcome::Ok, began);
        }
        Err(outcome) => found.answered(outcome, began),
    }
    Ok(())
}

async fn view(target: Target) -> Result<View, String> {
    within(target.timeout, async {
        let said = ask(&target, b"CLUSTER NODES\r\n").await?;
        Ok(
            said.and_then(|text| {
                read_nodes(&text, &target.addr).map_err(|error| error.to_string())
            }),
        )
    })
    .await
}

/// Asks an endpoint of Redis one question, on a connection of its own; the inner error is what it refuses it with.
pub(super) async fn ask(
    target: &Target,
    question: &[u8],
) -> Result<Result<String, String>, ReplyError> {
    let mut connection = connect(&target.addr).await?;
    if let Err(refusal) = authenticate(&mut connection, target.credentials.as_ref()).await? {
        return Ok(Err(refusal.complaint().into()));
    }
    connection.get_mut().write_all(question).await?;
    Ok(match read_reply(&mut connection).await? {
        Reply::Text(text) => Ok(text),
        Reply::Error(error) => Err(shortened(&error)),
    })
}

/// Waits for an answer no longer than `limit`; what went wrong is put into words.
pub(super) async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<Result<T, String>, ReplyError>>,
) -> Result<T, String> {
    match timeout(limit, asked).await {
        Err(_) => Err(format!("no answer within {limit:?}")),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(said)) => said,
    }
}

pub(super) async fn connect(addr: &EndpointAddr) -> io::Result<Connection> {
    let stream: Box<dyn Stream> = match addr {
        EndpointAddr::Tcp { host, port } => {
            Box::new(TcpStream::connect((host.as_str(), *port)).await?)
        }
        EndpointAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
    };
    Ok(BufReader::new(stream))
}

/// Presents the credentials; the inner error is what a refusal means.
async fn authenticate(
    connection: &mut Connection,
    credentials: Option<&Credentials>,
) -> Result<Result<(), Outcome>, ReplyError> {
    let Some(credentials) = credentials else {
        return Ok(Ok(()));
    };
    let password = match reveal(&credentials.password).await {
        Ok(password) => password,
        Err(error) => return Ok(Err(Outcome::Misconfigured(error))),
    };
    let words = ["AUTH"]
        .into_iter()
        .chain(credentials.username.as_deref())
        .chain([password.as_str()]);
    connection.get_mut().write_all(&command(words)).await?;
    Ok(match read_reply(connection).await? {
        Reply::Text(_) => Ok(()),
        Reply::Error(error) if error.starts_with("LOADING") => Err(Outcome::Warming),
        Reply::Error(error) if error.starts_with("ERR max number of clients") => {
            Err(Outcome::Failed(shortened(&error)))
        }
        Reply::Error(error) => Err(Outcome::Misconfigured(shortened(&error))),
    })
}

/// Reads a secret; one in a file is read where waiting is allowed.
pub(super) async fn reveal(secret: &Secret) -> Result<String, String> {
    if let Secret::Plain(text) = secret {
        return Ok(text.clone());
    }
    let secret = secret.clone();
    let revealed = spawn_blocking(move || secret.reveal().map_err(|error| error.to_string()));
    revealed
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
}

fn command<'a>(words: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let words: Vec<_> = words.collect();
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}

fn class_of_ping(reply: Reply) -> Outcome {
    const REFUSALS: [&str; 4] = ["DENIED", "NOAUTH", "NOPERM", "WRONGPASS"];
    let error = match reply {
        Reply::Text(text) if text == "PONG" => return Outcome::Ok,
        Reply::Text(text) => return Outcome::Failed(format!("it answered {}", shortened(&text))),
        Reply::Error(error) => error,
    };
    let code = error.split(' ').next().unwrap_or_default();
    let text = shortened(&error);
    match code {
        "LOADING" => Outcome::Warming,
        "MASTERDOWN" | "READONLY" => Outcome::RoleChanged(text),
        _ if REFUSALS.contains(&code) => Outcome::Misconfigured(text),
        _ => Outcome::Failed(text),
    }
}

fn read_replication(info: &str, about: &mut About) {
    about.role = match field(info, "role") {
        Some("master") => Some(Role::Primary),
        Some("slave") => Some(Role::Replica),
        _ => None,
    };
    let seconds =
        field(info, "master_last_io_seconds_ago").and_then(|seconds| seconds.parse().ok());
    about.lag = seconds.map(Duration::from_secs);
}

/// Returns the value of one line of INFO.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.trim_end().strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(value)
}

/// Keeps what an endpoint said short enough for lists.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;

    /// Answers every connection with `answer` and then says nothing more.
    async fn endpoint(answer: &'static [u8]) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a probe");
            stream.write_all(answer).await.expect("sent");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        target(EndpointAddr::tcp("127.0.0.1", port))
    }

    fn target(addr: EndpointAddr) -> Target {
        Target {
            addr,
            cache_type: CacheType::Redis,
            credentials: None,
            timeout: Duration::from_millis(300),
        }
    }

    #[tokio::test]
    async fn ping_is_classed_by_its_reply() {
        let cases: [(&[u8], Outcome); 11] = [
            (b"+PONG\r\n", Outcome::Ok),
            (b"-LOADING Redis is loading\r\n", Outcome::Warming),
            (
                b"-NOAUTH Authentication required.\r\n",
                Outcome::Misconfigured("NOAUTH Authentication required.".into()),
            ),
            (
                b"-NOPERM no\r\n",
                Outcome::Misconfigured("NOPERM no".into()),
            ),
            (
                b"-MASTERDOWN Link\r\n",
                Outcome::RoleChanged("MASTERDOWN Link".into()),
            ),
            (
                b"-READONLY You\r\n",
                Outcome::RoleChanged("READONLY You".into()),
            ),
            (
                b"-ERR max number of clients reached\r\n",
                Outcome::Failed("ERR max number of clients reached".into()),
            ),
            (
                b"-BUSY Redis is busy\r\n",
                Outcome::Failed("BUSY Redis is busy".into()),
            ),
            (b"+HI\r\n", Outcome::Failed("it answered HI".into())),
            (
                b"SSH-2.0-OpenSSH\r\n",
                Outcome::Failed("it sent something that is no reply to a probe".into()),
            ),
            (b"", Outcome::Failed("no answer within 300ms".into())),
        ];
        for (answer, outcome) in cases {
            let checked = check(endpoint(answer).await).await;
            assert_eq!(checked.outcome, outcome);
            assert_eq!(checked.latency.is_some(), outcome == Outcome::Ok);
        }
    }

    #[tokio::test]
    async fn refused_connection_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let checked = check(target(EndpointAddr::tcp("127.0.0.1", port))).await;
        assert!(matches!(checked.outcome, Outcome::Failed(text) if text.contains("refused")));
    }

    #[tokio::test]
    async fn rest_that_comes_too_late_does_not_spoil_the_ping() {
        let info =
            b"+PONG\r\n$57\r\n# Replication\r\nrole:slave\r\nmaster_last_io_seconds_ago:3\r\n\r\n";
        let checked = check(endpoint(info).await).await;
        assert_eq!(checked.outcome, Outcome::Ok);
        assert_eq!(
            (checked.about.role, checked.about.lag),
            (Some(Role::Replica), Some(Duration::from_secs(3)))
        );
    }

    #[tokio::test]
    async fn wrong_password_is_a_matter_of_configuration() {
        let mut target = endpoint(b"-WRONGPASS invalid\r\n").await;
        let password = Secret::Plain("x".into());
        target.credentials = Some(Credentials {
            username: None,
            password,
        });
        let outcome = check(target.clone()).await.outcome;
        assert_eq!(outcome, Outcome::Misconfigured("WRONGPASS invalid".into()));
        let mut target = endpoint(b"").await;
        let password = Secret::Env("PRISM_IS_NOT_SET".into());
        target.credentials = Some(Credentials {
            username: None,
            password,
        });
        assert!(matches!(
            check(target).await.outcome,
            Outcome::Misconfigured(_)
        ));
    }

    #[tokio::test]
    async fn memcached_tells_what_it_runs() {
        let mut target = endpoint(b"VERSION 1.6.18\r\nVERSION 1.6.18\r\nVERSION 1.6.18\r\n").await;
        target.cache_type = CacheType::Memcache;
        let checked = check(target).await;
        assert_eq!(
            (checked.outcome, checked.about.software),
            (Outcome::Ok, Some("1.6.18".into()))
        );
        let mut target = endpoint(b"ERROR\r\n").await;
        target.cache_type = CacheType::Memcache;
        assert_eq!(check(target).await.outcome, Outcome::Failed("ERROR".into()));
    }

    #[tokio::test]
    async fn node_that_is_no_cluster_says_so() {
        let error =
            view(endpoint(b"-ERR This instance has cluster support disabled\r\n").await).await;
        assert_eq!(
            error,
            Err("ERR This instance has cluster support disabled".into())
        );
    }
}
