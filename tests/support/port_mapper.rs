//! What epmd is to Erlang: tells a node at which port another one is found. Each node has one of its own, so that the way from any node
//! to any other can lead through a proxy. Of the protocol it knows what RabbitMQ asks: registering, asking for a port, for names.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const REGISTER: u8 = 120;
const REGISTERED: u8 = 118;
const WHERE_IS: u8 = 122;
const IT_IS_AT: u8 = 119;
const NAMES: u8 = 110;

/// Answers until it is dropped.
pub(crate) struct PortMapper {
    pub(crate) port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl PortMapper {
    /// `known`: nodes by the part of their names before the @, and where each is found.
    pub(crate) async fn start(known: BTreeMap<String, u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let known = known.clone();
                open.spawn(async move { drop(answer(socket, &known, port).await) });
                while open.try_join_next().is_some() {}
            }
        });
        Self { port, task }
    }
}

impl Drop for PortMapper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    mut socket: TcpStream,
    known: &BTreeMap<String, u16>,
    own_port: u16,
) -> std::io::Result<()> {
    let length = socket.read_u16().await?;
    let mut asked = vec![0; usize::from(length)];
    socket.read_exact(&mut asked).await?;
    match asked.split_first() {
        Some((&REGISTER, _)) => {
            // No error, and a number that tells this life of the node from others.
            socket.write_all(&[REGISTERED, 0, 0, 0, 0, 1]).await?;
            // It is registered as long as it holds the connection.
            let _ended = socket.read_u8().await;
        }
        Some((&WHERE_IS, name)) => {
            let at = std::str::from_utf8(name)
                .ok()
                .and_then(|name| known.get(name));
            let said = at.map_or_else(|| vec![IT_IS_AT, 1], |port| found(name, *port));
            socket.write_all(&said).await?;
        }
        // Nobody registers with another's mapper, so a name is never taken.
        Some((&NAMES, _)) => socket.write_all(&u32::from(own_port).to_be_bytes()).await?,
        _ => {}
    }
    Ok(())
}

/// No error, the port, a visible node over TCP that speaks versions 5 and 6, its name, nothing more.
fn found(name: &[u8], port: u16) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let mut said = vec![IT_IS_AT, 0];
    said.extend(port.to_be_bytes());
    said.extend([77, 0, 0, 6, 0, 5]);
    said.extend(length.to_be_bytes());
    said.extend(name);
    said.extend([0, 0]);
    said
}
