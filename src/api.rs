//! L5: the gRPC door.
