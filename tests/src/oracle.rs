//! A proxy and one real server asked the same, and their replies compared byte for byte.

use crate::{raw::Raw, redis::Redis, resp};

/// A single real `redis-server` beside a proxy.
#[derive(Debug)]
pub struct Oracle {
    /// What the proxy's replies must equal.
    pub truth: Redis,
    truth_client: Raw,
    proxy_client: Raw,
}

impl Oracle {
    /// Pairs a new `redis-server` with the proxy that listens on `proxy`.
    ///
    /// # Panics
    /// When one of them does not answer.
    pub fn new(proxy: &str) -> Self {
        let truth = Redis::start();
        Self {
            truth_client: truth.client(),
            proxy_client: Raw::connect(proxy),
            truth,
        }
    }

    /// The connection to the proxy.
    pub fn proxy(&mut self) -> &mut Raw {
        &mut self.proxy_client
    }

    /// Sends one command to both and compares.
    ///
    /// # Panics
    /// When the replies differ.
    #[track_caller]
    pub fn check<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Vec<u8> {
        self.check_bytes(&resp::command(arguments), 1).remove(0)
    }

    /// Sends one command given as words to both and compares.
    ///
    /// # Panics
    /// When the replies differ.
    #[track_caller]
    pub fn check_words(&mut self, words: &str) -> String {
        let arguments: Vec<_> = words.split_whitespace().collect();
        String::from_utf8_lossy(&self.check(&arguments)).into_owned()
    }

    /// Sends `bytes`, which hold `count` requests, to both, and drops the replies, which differ by design.
    #[track_caller]
    pub fn skip(&mut self, bytes: &[u8], count: usize) {
        self.truth_client.send(bytes);
        self.proxy_client.send(bytes);
        for _ in 0..count {
            self.truth_client.reply();
            self.proxy_client.reply();
        }
    }

    /// Sends `bytes`, which hold `count` requests, to both and compares each reply.
    ///
    /// # Panics
    /// When the replies differ.
    #[track_caller]
    pub fn check_bytes(&mut self, bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
        self.truth_client.send(bytes);
        self.proxy_client.send(bytes);
        (0..count)
            .map(|index| {
                let (truth, reply) = (self.truth_client.reply(), self.proxy_client.reply());
                assert_eq!(
                    String::from_utf8_lossy(&reply),
                    String::from_utf8_lossy(&truth),
                    "proxy (left) and server differ at request {index} of {:?}",
                    String::from_utf8_lossy(&bytes[..bytes.len().min(400)])
                );
                reply
            })
            .collect()
    }
}
