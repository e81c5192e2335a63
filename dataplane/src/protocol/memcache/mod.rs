//! The classic text protocol of Memcached.
