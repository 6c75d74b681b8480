//! The queues keep what the seam promises: one suite against all of them, then what a broker adds and what befalls it.

#[path = "queue/broker.rs"]
mod broker;
#[path = "support/fault_proxy.rs"]
mod fault_proxy;
#[path = "queue/faults.rs"]
mod faults;
#[path = "queue/flows.rs"]
mod flows;
#[path = "queue/promises.rs"]
mod promises;
#[path = "queue/proxy.rs"]
mod proxy;
#[path = "support/rabbitmq.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod rabbitmq;
#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod server;
#[path = "support/skip.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod skip;
#[path = "store/support.rs"]
#[expect(dead_code, reason = "each test file uses its part of it")]
mod store;
#[path = "queue/tls.rs"]
mod tls;

use tidings::queue::memory::MemoryQueue;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_the_promises() {
    let queue = MemoryQueue::new(10_000);
    promises::hold(|| Box::new(queue.clone())).await;
}
