//! Passwords that never show themselves.

use std::{env, fmt, fs, io, path::PathBuf};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Why a secret could not be read.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The environment variable is not there or not text.
    #[error("environment variable {0} is not set")]
    Env(String),
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The path as written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Only a digest is at hand: the text is with the control plane.
    #[error("a shown digest stands in place of the text")]
    Unchanged,
}

/// A text that is redacted wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Name of an environment variable, read where the secret is used.
    Env(String),
    /// Path of a file, read where the secret is used.
    File(PathBuf),
    /// The text itself.
    Plain(String),
    /// A shown digest, `secret:…`: what is stored stays.
    Unchanged(String),
}

impl Secret {
    /// Reads the spelling of definitions: `file:…`, `env:…`, `secret:…`, else the text itself.
    pub fn from_written(text: &str) -> Self {
        if let Some(path) = text.strip_prefix("file:") {
            return Self::File(PathBuf::from(path));
        }
        if let Some(name) = text.strip_prefix("env:") {
            return Self::Env(name.to_owned());
        }
        if text.starts_with("secret:") {
            return Self::Unchanged(text.to_owned());
        }
        Self::Plain(text.to_owned())
    }

    /// Returns the text, read from where it is; one line end at its end is left out of a file's.
    ///
    /// Reads a file: not for an async thread that serves traffic.
    ///
    /// # Errors
    /// When the file or the variable cannot be read, or only a digest is at hand.
    pub fn reveal(&self) -> Result<String, SecretError> {
        match self {
            Self::Env(name) => env::var(name)
                .map(without_line_end)
                .map_err(|_| SecretError::Env(name.clone())),
            Self::File(path) => fs::read_to_string(path)
                .map(without_line_end)
                .map_err(|source| SecretError::File {
                    path: path.clone(),
                    source,
                }),
            Self::Plain(text) => Ok(text.clone()),
            Self::Unchanged(_) => Err(SecretError::Unchanged),
        }
    }

    /// Tells whether `presented` is this secret, in a time that does not depend on where they differ.
    ///
    /// A secret that cannot be revealed matches nothing.
    pub fn matches(&self, presented: &[u8]) -> bool {
        let Ok(text) = self.reveal() else {
            return false;
        };
        // Digests are of one length, so that the length of the secret does not show either.
        let (own, other) = (Sha256::digest(text.as_bytes()), Sha256::digest(presented));
        own.as_slice().ct_eq(other.as_slice()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

/// What the proxy presents upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the user; `None` for the default user.
    pub username: Option<String>,
    /// What goes with AUTH.
    pub password: Secret,
}

fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        for text in ["hunter2", "file:/hunter2", "env:hunter2", "secret:hunter2"] {
            let secret = Secret::from_written(text);
            assert!(!format!("{secret:?} {secret}").contains("hunter2"));
        }
    }

    #[test]
    fn only_the_same_bytes_match() {
        let secret = Secret::from_written("hunter2");
        assert!(secret.matches(b"hunter2"));
        for other in [&b"hunter"[..], b"hunter22", b"", b"HUNTER2"] {
            assert!(!secret.matches(other));
        }
        assert!(!Secret::from_written("secret:hunter2").matches(b"secret:hunter2"));
        assert!(!Secret::from_written("env:PRISM_NOT_THERE").matches(b""));
    }

    #[test]
    fn a_file_is_read_without_its_last_line_end() {
        let path = env::temp_dir().join(format!("prism-secret-{}", std::process::id()));
        for (content, expected) in [("s3cret\n", "s3cret"), ("a\n\n", "a\n"), ("b", "b")] {
            fs::write(&path, content).unwrap();
            assert_eq!(Secret::File(path.clone()).reveal().unwrap(), expected);
        }
        fs::remove_file(&path).unwrap();
        assert!(Secret::File(path).reveal().is_err());
    }
}
