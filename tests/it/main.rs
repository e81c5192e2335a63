//! The whole house under test on real servers, one module a behaviour.

mod access;
mod access_changes;
mod bench;
mod bootstrap;
mod clients;
mod ctl;
mod differential;
mod exposure;
mod flapping;
mod fleet_apply;
mod fleet_ejection;
mod fleet_faults;
mod grpc;
mod harness;
mod kinds;
mod limits;
mod memcached;
mod memcached_meta;
mod nutcracker_placement;
mod pool;
mod redis_cluster;
mod redis_command;
mod redis_mixed_load;
mod redis_pool;
mod redis_together;
mod settings;
