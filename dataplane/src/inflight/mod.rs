//! Requests on their way: tickets, the order of replies, the merge of parts.
//!
//! Knows nothing of sockets, endpoints or commands. A session owns one [`Replies`]; whoever reads a reply upstream
//! settles the ticket there, and the session writes what is next in order.

mod bell;
mod byte_queue;
mod deferred;
mod intake;
mod merge;
mod replies;
mod subscribed;
mod table;
mod ticket;

pub use bell::Bell;
pub use byte_queue::{ByteQueue, LARGE, MAX_SLICES};
pub use deferred::{Cancel, Deferred};
pub use intake::{Intake, Piece};
pub use merge::{Finish, Merge};
pub use replies::{Quiet, Replies, Wish};
pub use subscribed::Subscribed;
pub use table::Table;
pub use ticket::Ticket;
