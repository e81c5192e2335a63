//! Why a user may not, and the words of Redis for it.

use std::borrow::Cow;

/// Why a user may not send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The channel at this place among the arguments.
    Channel(usize),
    /// The command.
    Command,
    /// The key at this place among the arguments.
    Key(usize),
    /// A script, which the proxy cannot hold to the user's rules.
    Script,
}

impl Denied {
    /// The words for the client, without `-` and line end.
    pub fn text(&self, name: &str) -> Cow<'static, str> {
        const NO_PERMISSIONS: &str = "NOPERM this user has no permissions to";
        match self {
            Self::Channel(_) => {
                format!("{NO_PERMISSIONS} access one of the channels used as arguments").into()
            }
            Self::Command => format!("{NO_PERMISSIONS} run the '{name}' command").into(),
            Self::Key(_) => {
                format!("{NO_PERMISSIONS} access one of the keys used as arguments").into()
            }
            Self::Script => format!(
                "NOPERM prism: '{name}' would run with the rights of the proxy: only users with +@all ~* &* may send it"
            )
            .into(),
        }
    }
}
