//! What is said first on a new connection: who the proxy is.

use std::fmt;

/// What is said first on a new connection; holds secrets and shows none.
#[derive(Clone, PartialEq, Eq)]
pub enum Handshake {
    /// To a Memcached endpoint, which is asked whether it wants credentials where there are none.
    Memcached(Option<Login>),
    /// Bytes that present the credentials to a Redis endpoint: `AUTH …`. Empty when there are none.
    Redis(Vec<u8>),
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Handshake {
    /// Blanks what is presented out of an endpoint's words, which reach logs and clients.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let bytes;
        let words: Vec<&str> = match self {
            Self::Memcached(login) => {
                let words = login
                    .iter()
                    .flat_map(|login| [&login.user, &login.password]);
                words.map(String::as_str).collect()
            }
            Self::Redis(command) => {
                bytes = String::from_utf8_lossy(command);
                // Every other line is a word; the first is the command's name.
                bytes.split("\r\n").skip(2).step_by(2).skip(1).collect()
            }
        };
        let mut text = text.to_owned();
        for word in words.into_iter().filter(|word| !word.is_empty()) {
            text = text.replace(word, "(hidden)");
        }
        text
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memcached(_) => "Memcached(..)",
            Self::Redis(_) => "Redis(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_presented_is_shown() {
        let login = Handshake::Memcached(Some(Login {
            user: "proxy".to_owned(),
            password: "hunter2".to_owned(),
        }));
        let command = b"*3\r\n$4\r\nAUTH\r\n$5\r\nproxy\r\n$7\r\nhunter2\r\n".to_vec();
        for handshake in [login, Handshake::Redis(command)] {
            let words = handshake.without_secrets("AUTH: no `hunter2` for proxy");
            assert_eq!(words, "AUTH: no `(hidden)` for (hidden)");
            assert!(!format!("{handshake:?}").contains("hunter2"));
        }
    }
}
