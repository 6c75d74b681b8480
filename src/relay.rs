//! L4: from the store to the queue.
