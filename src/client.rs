//! L4: the gRPC client of the command line.
