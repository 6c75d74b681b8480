//! The fault proxy does what its words say; without this a test behind it could pass for the wrong reason.

use std::io::ErrorKind;
use std::time::Duration;

use tidings::domain::clock::Stopwatch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::fault_proxy::{Fault, FaultProxy};

const LIMIT: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(200);

/// A connection through a proxy, and the server's end of it.
async fn connected() -> (FaultProxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap()).await;
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (proxy, client, server)
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 100];
    let count = tokio::time::timeout(LIMIT, stream.read(&mut buffer))
        .await
        .expect("nothing comes, not even the end")?;
    buffer.truncate(count);
    Ok(buffer)
}

async fn is_silent(stream: &mut TcpStream) {
    let mut buffer = [0; 1];
    let read = tokio::time::timeout(QUIET, stream.read(&mut buffer)).await;
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn it_passes_both_directions_and_their_ends() {
    let (_proxy, mut client, mut server) = connected().await;
    client.write_all(b"there").await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"there");
    server.write_all(b"back").await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"back");
    client.shutdown().await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"");
    server.write_all(b"still").await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"still");
}

#[tokio::test]
async fn it_delays_one_direction_and_not_the_other() {
    let (proxy, mut client, mut server) = connected().await;
    let by = Duration::from_millis(300);
    proxy.to_server(Fault::Delay(by));
    let started = Stopwatch::start();
    client.write_all(b"slow").await.unwrap();
    server.write_all(b"fast").await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"fast");
    assert!(started.elapsed() < by);
    assert_eq!(read(&mut server).await.unwrap(), b"slow");
    assert!(started.elapsed() >= by);
}

#[tokio::test]
async fn it_swallows_without_a_word_and_goes_on() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.to_server(Fault::Drop);
    client.write_all(b"lost").await.unwrap();
    is_silent(&mut server).await;
    server.write_all(b"back").await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"back");
    proxy.to_server(Fault::None);
    client.write_all(b"found").await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"found");
    // The end is swallowed as well.
    proxy.both(Fault::Drop);
    drop(client);
    is_silent(&mut server).await;
}

#[tokio::test]
async fn it_holds_back_and_keeps_all_of_it() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.both(Fault::Hold);
    client.write_all(b"there").await.unwrap();
    server.write_all(b"back").await.unwrap();
    is_silent(&mut server).await;
    is_silent(&mut client).await;
    // One who has given up meanwhile has said it all the same.
    client.shutdown().await.unwrap();
    proxy.both(Fault::None);
    assert_eq!(read(&mut server).await.unwrap(), b"there");
    assert_eq!(read(&mut server).await.unwrap(), b"");
    assert_eq!(read(&mut client).await.unwrap(), b"back");
}

#[tokio::test]
async fn it_remembers_what_was_said_and_what_was_told() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.to_server(Fault::TruncateAt(2));
    client.write_all(b"there").await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"th");
    server.write_all(b"back").await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"back");
    let passed = proxy.newest();
    assert_eq!(passed.said_by_client, b"there");
    assert_eq!(passed.told_to_client, b"back");
    assert_eq!(proxy.open(), 1);
}

#[tokio::test]
async fn it_breaks_behind_a_byte() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.to_server(Fault::ResetAt(3));
    client.write_all(b"ab").await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"ab");
    client.write_all(b"cdef").await.unwrap();
    let error = read(&mut client).await.expect_err("an orderly end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn it_resets_both_sides() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.to_client(Fault::Reset);
    for stream in [&mut client, &mut server] {
        let error = read(stream).await.expect_err("an orderly end");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn it_cuts_behind_a_byte() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.to_server(Fault::TruncateAt(3));
    client.write_all(b"ab").await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"ab");
    client.write_all(b"cdef").await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"c");
    assert_eq!(read(&mut server).await.unwrap(), b"");
}

#[tokio::test]
async fn it_closes_one_half() {
    let (proxy, mut client, mut server) = connected().await;
    proxy.to_client(Fault::HalfClose);
    assert_eq!(read(&mut client).await.unwrap(), b"");
    client.write_all(b"still").await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"still");
}
