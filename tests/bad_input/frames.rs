//! What no gRPC library would send: requests frame by frame, over plain HTTP/2.

use std::io::Write as _;
use std::path::Path;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use h2::client::SendRequest;
use tidings::proto::{SendNotificationRequest, WireMessage as _};
use tokio::net::TcpStream;

use crate::shop::{guest, shipped};
use crate::wire::{calm_log, logged};

const MIB: usize = 1024 * 1024;
const OK: i32 = 0;
const OUT_OF_RANGE: i32 = 11;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;
const INTERNAL: i32 = 13;

async fn connect(address: &str) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// Status and sentence of a call with this body, as a decimal and as it is on the wire.
async fn call(sender: &SendRequest<Bytes>, encoding: Option<&str>, body: Bytes) -> (i32, String) {
    let mut request =
        http::Request::post("http://localhost/tidings.v1.NotificationService/SendNotification")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let mut ready = sender.clone().ready().await.unwrap();
    let (answer, mut stream) = ready
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    // Who answers before it has read everything resets the stream; that is for it to say.
    drop(stream.send_data(body, true));
    let (head, mut content) = answer.await.unwrap().into_parts();
    while let Some(chunk) = content.data().await {
        let length = chunk.unwrap().len();
        content.flow_control().release_capacity(length).unwrap();
    }
    let trailers = match head.headers.contains_key("grpc-status") {
        true => head.headers,
        false => content.trailers().await.unwrap().unwrap(),
    };
    let text = |name: &str| {
        trailers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
            .to_owned()
    };
    (text("grpc-status").parse().unwrap(), text("grpc-message"))
}

/// A gRPC frame: flag, length, bytes.
fn frame(flag: u8, length: u32, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flag);
    frame.put_u32(length);
    frame.put_slice(bytes);
    frame.freeze()
}

fn whole(flag: u8, bytes: &[u8]) -> Bytes {
    frame(flag, u32::try_from(bytes.len()).unwrap(), bytes)
}

fn good(id: &str) -> Vec<u8> {
    SendNotificationRequest {
        intent: Some(shipped("4711", guest("ada@example.com"))),
        request_id: id.into(),
        validate_only: false,
    }
    .encode_to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gibibyte of zeros in one mebibyte of gzip: a compressed mebibyte, again and again.
fn bomb() -> Vec<u8> {
    let zeros = vec![0; MIB];
    let mut compress = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(MIB);
    compress
        .compress_vec(&zeros, &mut block, FlushCompress::Full)
        .unwrap();
    // The head of RFC 1952, without name or time.
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for _ in 0..1024 {
        bomb.extend_from_slice(&block);
    }
    bomb
}

/// A good call on this connection and one on a new one.
async fn serves(sender: &SendRequest<Bytes>, address: &str, id: &str) {
    let same = call(sender, None, whole(0, &good(&format!("{id}-same")))).await;
    let fresh = call(
        &connect(address).await,
        None,
        whole(0, &good(&format!("{id}-fresh"))),
    )
    .await;
    assert_eq!((same.0, fresh.0), (OK, OK), "{id}: {same:?} {fresh:?}");
}

/// Row 3, and the other ways in which a frame can be wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_frame_costs_its_own_call() {
    let folder = tempfile::tempdir().unwrap();
    let binary = logged(folder.path());
    let sender = connect(&binary.grpc).await;
    let bytes = good("wrong");
    let cases: [(&str, Option<&str>, Bytes, i32, &str); 9] = [
        (
            "compressed, nobody says how",
            None,
            whole(1, &gzip(&bytes)),
            INTERNAL,
            "compressed-flag",
        ),
        (
            "compressed, and it is said not to be",
            Some("identity"),
            whole(1, &gzip(&bytes)),
            INTERNAL,
            "compressed-flag",
        ),
        (
            "compressed as nobody here can",
            Some("br"),
            whole(1, &bytes),
            UNIMPLEMENTED,
            "br",
        ),
        (
            "a flag that is none",
            None,
            whole(7, &bytes),
            INTERNAL,
            "flag: 7",
        ),
        (
            "said to be gzip and is not",
            Some("gzip"),
            whole(1, &bytes),
            INTERNAL,
            "decompressing",
        ),
        (
            "gzip, cut short",
            Some("gzip"),
            whole(1, &gzip(&bytes)[..20]),
            INTERNAL,
            "decompressing",
        ),
        (
            "four gibibytes promised",
            None,
            frame(0, u32::MAX, &bytes),
            OUT_OF_RANGE,
            "4194304",
        ),
        (
            "more promised than sent",
            None,
            frame(0, 1000, b"short"),
            INTERNAL,
            "EOF",
        ),
        (
            "nothing at all",
            None,
            Bytes::new(),
            INTERNAL,
            "Missing request message",
        ),
    ];
    for (at, (case, encoding, body, code, says)) in cases.into_iter().enumerate() {
        let (status, message) = call(&sender, encoding, body).await;
        assert_eq!(status, code, "{case}: {message}");
        assert!(
            message.replace("%20", " ").contains(says),
            "{case}: {message}"
        );
        serves(&sender, &binary.grpc, &format!("r-{at}")).await;
    }
    assert_eq!(binary.terminate(), Some(0));
    calm_log(folder.path());
}

/// The most memory that the process on this folder has had so far, kibibytes.
fn peak(folder: &Path) -> i64 {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap();
    let ours = processes
        .flatten()
        .map(|entry| entry.path())
        .find(|process| {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(folder)
        });
    let status = std::fs::read_to_string(ours.unwrap().join("status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Row 2.
#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_bomb_is_refused_in_flat_memory() {
    let folder = tempfile::tempdir().unwrap();
    let binary = logged(folder.path());
    let sender = connect(&binary.grpc).await;
    let (status, message) = call(&sender, Some("gzip"), whole(1, &gzip(&good("small")))).await;
    assert_eq!(
        status, OK,
        "what is compressed and small is taken: {message}"
    );
    serves(&sender, &binary.grpc, "warm").await;
    let bomb = Bytes::from(bomb());
    assert!(bomb.len() < 2 * MIB, "{}", bomb.len());
    let (before, mut grown) = (peak(folder.path()), Vec::new());
    for round in 0..60 {
        let (status, message) = call(&sender, Some("gzip"), whole(1, &bomb)).await;
        assert_eq!(status, RESOURCE_EXHAUSTED, "{message}");
        assert!(message.contains("4194304"), "the limit is told: {message}");
        grown.push(peak(folder.path()) - before);
        serves(&sender, &binary.grpc, &format!("r-{round}")).await;
    }
    println!(
        "{} bytes for 1 GiB: {before} KiB before, more after each: {grown:?}",
        bomb.len()
    );
    // Each thread of the process keeps what it needed once, and no more: 60 bombs of which each left behind what is unpacked of
    // it, up to the limit of 4 MiB, would be 240 MiB.
    assert!(grown[0] < 16 * 1024, "{} KiB more for one", grown[0]);
    assert!(grown[59] < 64 * 1024, "it grows with each: {grown:?}");
    assert_eq!(binary.terminate(), Some(0));
    calm_log(folder.path());
}

/// Row 1, in one message and in memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_limit_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let binary = logged(folder.path());
    let sender = connect(&binary.grpc).await;
    serves(&sender, &binary.grpc, "warm").await;
    let before = peak(folder.path());
    let large = vec![b'x'; 64 * MIB];
    for round in 0..5 {
        let (status, message) = call(&connect(&binary.grpc).await, None, whole(0, &large)).await;
        assert_eq!(status, OUT_OF_RANGE, "{message}");
        serves(&sender, &binary.grpc, &format!("r-{round}")).await;
    }
    let grown = peak(folder.path()) - before;
    println!("5 messages of 64 MiB: {before} KiB before, {grown} KiB more at the most");
    assert!(grown < 16 * 1024, "{grown} KiB more");
    assert_eq!(binary.terminate(), Some(0));
    calm_log(folder.path());
}
