//! Clients that hang on the door.

use tidings::client::Client;
use tidings::proto::WatchNotificationsRequest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/// Clients that hang, until they are dropped: one that never says a word, one that asks and does not read, one that watches and does
/// not look.
pub(crate) async fn hang(grpc: &str) -> impl Drop + use<> {
    let silent = TcpStream::connect(grpc).await.unwrap();
    let mut deaf = TcpStream::connect(grpc).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        // Each ping must be answered: soon nothing goes either way.
        let mut said = deaf.write_all(&[PREFACE, SETTINGS].concat()).await;
        while said.is_ok() {
            said = deaf.write_all(PING).await;
        }
        std::future::pending::<()>().await;
    });
    let client = Client::connect(grpc).await.unwrap();
    tasks.spawn(async move {
        let mut service = client.notifications();
        let watching = service.watch_notifications(WatchNotificationsRequest::default());
        let _stream = watching.await;
        std::future::pending::<()>().await;
    });
    tasks.spawn(async move {
        let _silent = silent;
        std::future::pending::<()>().await;
    });
    tasks
}
