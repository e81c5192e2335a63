//! SCAN over all shards, one after the other.

use super::redis::refuse;
use crate::{
    cluster::{Batch, Call},
    inflight::Wish,
    protocol::{
        message::{Span, bytes_of},
        redis::{
            cursor::{self, Course, MAX_SHARDS},
            reply::{write_array_header, write_bulk, write_error},
        },
    },
    upstream::Expect,
};

/// Sends the next step of a scan to the shard whose turn it is.
pub(super) fn serve(raw: &[u8], args: &[Span], batch: &mut Batch<'_>) {
    let word = args.get(1).map_or(&[][..], |span| bytes_of(raw, span));
    let Some(asked) = cursor::parse(word) else {
        return batch.answer(|out| write_error(out, "ERR invalid cursor"));
    };
    let call = Call {
        expect: Expect::Redis,
        wish: Wish::Reply,
        is_write: false,
    };
    let order = match batch.scan_order() {
        Ok(order) => order,
        Err(error) => return batch.fail(call.wish, &error),
    };
    let Some(course) = Course::new(order.len(), order.fingerprint) else {
        let shards = order.len();
        let text =
            format!("ERR prism: SCAN goes over {MAX_SHARDS} endpoints at most, not {shards}");
        return refuse(batch, text.as_bytes());
    };
    let place = course.open(asked);
    let mut request = Vec::new();
    write_array_header(&mut request, args.len());
    write_bulk(&mut request, "SCAN");
    write_bulk(&mut request, itoa::Buffer::new().format(place.own));
    for span in args.iter().skip(2) {
        write_bulk(&mut request, bytes_of(raw, span));
    }
    batch.ask_shard(&order, place.shard, &request, call, |name| {
        Box::new(move |parts, out| {
            if let [part] = parts {
                course.turn(out, place, part.reply, &name);
            }
        })
    });
}
