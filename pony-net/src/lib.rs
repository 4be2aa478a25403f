//! ZeroMQ links between the daemons: a thread per ROUTER socket, CURVE, admission, bounded queues.
