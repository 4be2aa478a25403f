//! Socket options that both ends share.

use crate::limits::Limits;

/// What CURVE and framing add to a body before libzmq compares it with its limit, generously.
const FRAME_OVERHEAD_BYTES: usize = 256;

/// A ROUTER socket that goes by `id`, within the limits.
pub(crate) fn router(context: &zmq::Context, id: &[u8], limits: &Limits) -> Result<zmq::Socket, zmq::Error> {
    let socket = context.socket(zmq::ROUTER)?;
    socket.set_identity(id)?;
    // Unroutable messages are an error here instead of vanishing.
    socket.set_router_mandatory(true)?;
    // A peer that reconnects takes its id over from the connection that it lost; a restarted one has a new id
    // anyway. Nobody else knows the id, which is random.
    socket.set_router_handover(true)?;
    // Each side announces itself, so that either may speak first.
    socket.set_probe_router(true)?;
    socket.set_linger(0)?;
    socket
        .set_maxmsgsize(saturating(limits.max_message_bytes.saturating_add(FRAME_OVERHEAD_BYTES)).into())?;
    socket.set_sndhwm(i32::from(limits.peer_outbound_messages).max(1))?;
    socket.set_rcvhwm(i32::from(limits.peer_inbound_messages).max(1))?;
    socket.set_handshake_ivl(saturating(limits.handshake_ms))?;
    socket.set_heartbeat_ivl(saturating(limits.heartbeat_ms))?;
    socket.set_heartbeat_timeout(saturating(limits.heartbeat_timeout_ms))?;
    socket.set_heartbeat_ttl(saturating(limits.heartbeat_timeout_ms))?;
    Ok(socket)
}

/// libzmq takes C integers.
pub(crate) fn saturating(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
