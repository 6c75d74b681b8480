//! Three RabbitMQ nodes as one cluster. Every way from one node to another leads through a proxy of its own, so that any part of the
//! cluster can be cut off from any other, in one direction or in both; clients reach the nodes directly.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings::domain::clock::Stopwatch;

use crate::fault_proxy::{Fault, FaultProxy};
use crate::port_mapper::PortMapper;
use crate::rabbitmq::{Member, Node, free_ports, is_installed};

/// How many nodes.
pub(crate) const NODES: usize = 3;
/// After so long without a word a node counts as gone; RabbitMQ's own is 60 s.
const TICK: Duration = Duration::from_secs(8);
/// For what takes a second or two on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which node speaks to which.
type Way = (usize, usize);

pub(crate) struct Brokers {
    pub(crate) nodes: Vec<Node>,
    ways: BTreeMap<Way, FaultProxy>,
    _mappers: Vec<PortMapper>,
}

impl Brokers {
    /// A cluster that serves; `None` after saying that the test is skipped.
    pub(crate) async fn start() -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let dist_ports: [u16; NODES] = free_ports();
        let names: Vec<String> = dist_ports
            .iter()
            .map(|port| format!("tidings-{port}"))
            .collect();
        let mut ways = BTreeMap::new();
        let (mut mappers, mut nodes) = (Vec::new(), Vec::new());
        for from in 0..NODES {
            let mut known = BTreeMap::new();
            for to in 0..NODES {
                let mut port = dist_ports[to];
                if from != to {
                    let proxy = FaultProxy::start(([127, 0, 0, 1], port).into()).await;
                    port = proxy.address().port();
                    ways.insert((from, to), proxy);
                }
                known.insert(names[to].clone(), port);
            }
            let mapper = PortMapper::start(known).await;
            nodes.push(Node::member(&Member {
                name: &names[from],
                names: &names,
                dist_port: dist_ports[from],
                mapper_port: mapper.port,
                tick: TICK,
            }));
            mappers.push(mapper);
        }
        // The first one makes the cluster, the others join it.
        let starting = tokio::task::spawn_blocking(move || {
            let (first, others) = nodes.split_first_mut().unwrap();
            first.start_again();
            others.iter_mut().for_each(Node::launch);
            others.iter_mut().for_each(Node::wait_until_it_serves);
            nodes
        });
        let brokers = Self {
            nodes: starting.await.unwrap(),
            ways,
            _mappers: mappers,
        };
        brokers.is_whole().await;
        Some(brokers)
    }

    /// As settings name them.
    pub(crate) fn hosts(&self) -> String {
        let hosts = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        hosts.collect::<Vec<_>>().join(",")
    }

    /// Nothing that one says arrives at the other any more.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.set((from, to), Fault::Hold);
    }

    /// Everything arrives again, also what was said meanwhile, as over a cable that is put back.
    pub(crate) fn heal(&self) {
        for from in 0..NODES {
            for to in (0..NODES).filter(|to| *to != from) {
                self.set((from, to), Fault::None);
            }
        }
    }

    /// Connections are made by either side.
    fn set(&self, (from, to): Way, fault: Fault) {
        self.ways[&(from, to)].to_server(fault);
        self.ways[&(to, from)].to_client(fault);
    }

    /// Waits until every node serves and sees all of them; how long it took.
    pub(crate) async fn is_whole(&self) -> Duration {
        let waited = Stopwatch::start();
        let sees_all = |node: &Node| {
            let said = node.ask(&["eval", "length(rabbit_nodes:all_running())."]);
            node.serves() && said.is_some_and(|said| said.trim() == NODES.to_string())
        };
        while !tokio::task::block_in_place(|| self.nodes.iter().all(sees_all)) {
            assert!(
                waited.elapsed() < PATIENCE,
                "the cluster is not whole again"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        waited.elapsed()
    }

    /// The node that leads most of the queues.
    pub(crate) fn leader(&self) -> usize {
        // Commands that gather from all nodes cannot be used: the others do not find rabbitmqctl by their own port mappers.
        let said = tokio::task::block_in_place(|| {
            self.nodes[0].control(&[
                "eval",
                "[element(2, amqqueue:get_pid(Q)) || Q <- rabbit_amqqueue:list()].",
            ])
        });
        let leads = |place: &usize| said.matches(self.nodes[*place].name()).count();
        (0..NODES).max_by_key(leads).unwrap()
    }

    /// The node that most of the clients are connected to.
    pub(crate) fn clients(&self) -> usize {
        let count = |place: &usize| -> usize {
            let said = tokio::task::block_in_place(|| {
                self.nodes[*place]
                    .control(&["eval", "length(rabbit_networking:local_connections())."])
            });
            said.trim().parse().unwrap()
        };
        (0..NODES).max_by_key(count).unwrap()
    }
}
