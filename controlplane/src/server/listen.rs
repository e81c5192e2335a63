//! Binds ports, and none that is open to everybody unless that is asked for.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, lookup_host};
use tracing::warn;

use super::StartError;

/// A bound port.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    /// The real address, also when port 0 was asked for.
    pub(super) address: SocketAddr,
}

/// Binds the address that `flag` says.
pub(super) async fn bind(
    flag: &'static str,
    address: &str,
    insecure: bool,
) -> Result<Bound, StartError> {
    let unknown = || StartError::UnknownAddress {
        flag,
        address: address.into(),
    };
    let mut found = lookup_host(address).await.map_err(|_| unknown())?;
    let resolved = found.next().ok_or_else(unknown)?;
    check_exposure(flag, resolved, insecure)?;
    let failed = |error: &io::Error| StartError::Bind {
        flag,
        address: address.into(),
        cause: if error.kind() == io::ErrorKind::AddrInUse {
            format!("port {} is in use", resolved.port())
        } else {
            error.to_string()
        },
    };
    let listener = TcpListener::bind(resolved)
        .await
        .map_err(|error| failed(&error))?;
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    Ok(Bound { listener, address })
}

fn check_exposure(
    flag: &'static str,
    address: SocketAddr,
    insecure: bool,
) -> Result<(), StartError> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if !insecure {
        return Err(StartError::Exposed { flag, address });
    }
    warn!(flag, %address, "insecure: reachable from other machines and nobody has to authenticate");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_needs_insecure() {
        for (address, is_loopback) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(
                check_exposure("listen", parsed, false).is_ok(),
                is_loopback,
                "{address}"
            );
            assert!(check_exposure("listen", parsed, true).is_ok());
        }
    }

    #[tokio::test]
    async fn busy_port_and_wrong_address_are_named_with_their_flag() {
        let first = bind("listen", "127.0.0.1:0", false)
            .await
            .expect("a free port");
        let text = first.address.to_string();
        let busy = bind("discovery-listen", &text, false)
            .await
            .expect_err("in use");
        let port = first.address.port();
        let expected =
            format!("cannot listen on {text} (--discovery-listen): port {port} is in use");
        assert_eq!((busy.to_string(), busy.exit_code()), (expected, 1));
        let wrong = bind("listen", "nonsense", false)
            .await
            .expect_err("no address");
        assert_eq!(wrong.exit_code(), 78);
    }
}
