//! Secrets as they are shown, and back.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::model::{Draft, Secret, UserDraft, Violations};

/// Bytes that SHA-256 works on at a time.
const BLOCK_BYTES: usize = 64;

impl Draft {
    /// Returns every secret with the path of its field.
    pub fn secrets(&self) -> Vec<(String, &Secret)> {
        let mut secrets = Vec::new();
        if let Some(auth) = &self.auth {
            if let Some(password) = &auth.password {
                secrets.push(("auth.password".to_owned(), password));
            }
            for (index, user) in auth.users.iter().enumerate() {
                if let Some(password) = &user.password {
                    secrets.push((format!("auth.users[{index}].password"), password));
                }
            }
        }
        if let Some(password) = self.backend_auth.as_ref().and_then(|a| a.password.as_ref()) {
            secrets.push(("backend_auth.password".to_owned(), password));
        }
        secrets
    }

    /// Returns every secret with what it belongs to, in the order of [`Self::secrets`]: users keep theirs wherever they stand.
    fn secrets_by_owner(&self) -> Vec<(String, &Secret)> {
        let users = self.auth.iter().flat_map(|auth| &auth.users);
        let owner = |(index, user): (usize, &UserDraft)| {
            let field = format!("auth.users[{index}].password");
            (field, format!("user {}", user.username))
        };
        let owners: Vec<_> = users.enumerate().map(owner).collect();
        let owned = |(field, secret): (String, _)| {
            let owner = owners.iter().find(|(of_user, _)| *of_user == field);
            (owner.map_or(field, |(_, owner)| owner.clone()), secret)
        };
        self.secrets().into_iter().map(owned).collect()
    }

    fn secrets_mut(&mut self) -> Vec<(String, &mut Secret)> {
        let mut secrets = Vec::new();
        if let Some(auth) = &mut self.auth {
            if let Some(password) = &mut auth.password {
                secrets.push(("auth.password".to_owned(), password));
            }
            for (index, user) in auth.users.iter_mut().enumerate() {
                if let Some(password) = &mut user.password {
                    secrets.push((format!("auth.users[{index}].password"), password));
                }
            }
        }
        if let Some(password) = self.backend_auth.as_mut().and_then(|a| a.password.as_mut()) {
            secrets.push(("backend_auth.password".to_owned(), password));
        }
        secrets
    }

    /// Returns the draft with plain secrets shown as `secret:<digest>`, keyed by `key`.
    ///
    /// References to files and variables stay: they are no secrets.
    pub fn redacted(&self, key: &[u8]) -> Self {
        let mut shown = self.clone();
        for (_, secret) in shown.secrets_mut() {
            if let Secret::Plain(text) = secret {
                *secret = Secret::Unchanged(show(key, text));
            }
        }
        shown
    }

    /// Replaces shown digests by the secrets of `stored` that they were made of.
    ///
    /// # Errors
    /// A violation for each digest that is not the one shown for the stored secret of that field.
    pub fn restore_secrets(&mut self, stored: Option<&Self>, key: &[u8]) -> Result<(), Violations> {
        let named = stored.map(Self::secrets_by_owner).unwrap_or_default();
        let owners: Vec<_> = self
            .secrets_by_owner()
            .into_iter()
            .map(|(owner, _)| owner)
            .collect();
        let mut violations = Violations::new();
        for (owner, (field, secret)) in owners.into_iter().zip(self.secrets_mut()) {
            let Secret::Unchanged(shown) = &*secret else {
                continue;
            };
            let of_field = named.iter().find(|(known, _)| *known == owner);
            match of_field {
                Some((_, known)) if is_shown(key, known, shown) => *secret = (*known).clone(),
                Some(_) => violations.push(field, "is not the digest shown for the stored secret"),
                None => violations.push(field, "is a shown digest, but no secret is stored here"),
            }
        }
        violations.into_result(())
    }
}

fn is_shown(key: &[u8], known: &Secret, shown: &str) -> bool {
    let Secret::Plain(text) = known else {
        return false;
    };
    show(key, text).as_bytes().ct_eq(shown.as_bytes()).into()
}

fn show(key: &[u8], text: &str) -> String {
    let mut shown = "secret:".to_owned();
    for byte in hmac_sha256(key, text.as_bytes()) {
        shown.push_str(&format!("{byte:02x}"));
    }
    shown
}

/// Spec: <https://www.rfc-editor.org/rfc/rfc2104>
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AuthDraft;

    fn with_password(secret: Secret) -> Draft {
        Draft {
            auth: Some(AuthDraft {
                password: Some(secret),
                users: Vec::new(),
            }),
            ..Draft::default()
        }
    }

    #[test]
    fn hmac_is_the_one_of_rfc_4231() {
        let shown = show(b"Jefe", "what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(shown, format!("secret:{expected}"));
        let long_key = show(
            &[0xaa; 131],
            "Test Using Larger Than Block-Size Key - Hash Key First",
        );
        assert!(long_key.starts_with("secret:60e431591ee0b67f0d8a26aacbf5b77f"));
    }

    #[test]
    fn a_shown_secret_applied_back_means_unchanged() {
        let stored = with_password(Secret::Plain("hunter2".to_owned()));
        let mut shown = stored.redacted(b"key");
        assert_ne!(shown, stored);
        shown.restore_secrets(Some(&stored), b"key").unwrap();
        assert_eq!(shown, stored);
    }

    #[test]
    fn secret_follows_the_user_of_its_name() {
        let user = |name: &str, password: &str| UserDraft {
            username: name.to_owned(),
            password: Some(Secret::Plain(password.to_owned())),
            ..UserDraft::default()
        };
        let with_users = |users| Draft {
            auth: Some(AuthDraft {
                password: None,
                users,
            }),
            ..Draft::default()
        };
        let stored = with_users(vec![user("a", "one"), user("b", "two")]);
        let mut shown = stored.redacted(b"key");
        shown.auth.as_mut().unwrap().users.remove(0);
        shown.restore_secrets(Some(&stored), b"key").unwrap();
        assert_eq!(shown, with_users(vec![user("b", "two")]));
        let mut renamed = stored.redacted(b"key");
        renamed.auth.as_mut().unwrap().users[0].username = "c".to_owned();
        assert!(renamed.restore_secrets(Some(&stored), b"key").is_err());
    }

    #[test]
    fn references_are_shown_as_they_are() {
        let stored = with_password(Secret::File("/run/secret".into()));
        assert_eq!(stored.redacted(b"key"), stored);
    }

    #[test]
    fn any_other_digest_is_a_violation() {
        let stored = with_password(Secret::Plain("hunter2".to_owned()));
        let other_key = stored.redacted(b"other");
        let other_secret = with_password(Secret::Plain("hunter3".to_owned())).redacted(b"key");
        for mut written in [other_key, other_secret] {
            let violations = written.restore_secrets(Some(&stored), b"key").unwrap_err();
            assert_eq!(violations.iter().next().unwrap().field, "auth.password");
        }
        let mut fresh = stored.redacted(b"key");
        assert!(fresh.restore_secrets(None, b"key").is_err());
        assert!(
            fresh
                .restore_secrets(Some(&Draft::default()), b"key")
                .is_err()
        );
    }
}
