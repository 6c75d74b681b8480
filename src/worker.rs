//! L4: from the queue to the provider.
