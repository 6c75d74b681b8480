//! API keys, over TLS from another machine as it were, and what the command line makes of them.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tidings::client::Target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::binary::Binary;
use crate::calls::{Refusal, send, shipped, try_send};
use crate::pki::Pki;
use crate::program::{Ended, program, run};
use crate::{ALL, caller, configured, connect, key, secure, serve, tls, with_key};

/// `tidings ARGUMENTS` with these files.
fn tidings(arguments: &[&str], folder: &Path, address: &str, name: Option<&str>) -> Ended {
    let mut command = program();
    command
        .args(arguments)
        .env("TIDINGS_ADDRESS", address)
        .env("TIDINGS_CA_FILE", folder.join("ca.pem"));
    if let Some(name) = name {
        command.env("TIDINGS_API_KEY_FILE", folder.join(name));
    }
    run(&mut command)
}

const SEND: [&str; 5] = [
    "send",
    "order.shipped",
    "--to=ada@example.com",
    "--var=order.number=1",
    "--json",
];

#[test]
fn a_key_opens_what_its_scopes_say_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let rotated = key(folder, "rotated");
    let orders = caller(folder, "orders", &["send:transactional", "read"])
        .replace("\"]\n", &format!("\", {rotated:?}]\n"))
        .replace(&format!("\"read\", {rotated:?}"), "\"read\"");
    let news = caller(folder, "news", &["send:marketing", "read"]);
    drop(key(folder, "stranger"));
    let config = configured(folder, "0.0.0.0:0", &format!("{}{orders}{news}", tls(&pki)));
    let binary = serve(&config);
    let address = secure(&binary);

    // Either key of one that is being renewed; a line break at the end of the file, of either kind, is no part of it.
    for (name, text) in [
        ("orders.tk", "\n"),
        ("rotated.tk", "\r\n"),
        ("orders.tk", ""),
    ] {
        let file = folder.join(name);
        let bare = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{}{text}", bare.trim_end())).unwrap();
        let (code, out, err) = tidings(&SEND, folder, &address, Some(name));
        assert_eq!(code, 0, "{name}: {out}{err}");
        let sent: Value = serde_json::from_str(&out).unwrap();
        assert!(sent.to_string().contains("notifications/"), "{out}");
    }

    // Without a key, with another's and with none that was ever known: the same words.
    let (code, out, none) = tidings(&SEND, folder, &address, None);
    assert_eq!((code, out.as_str()), (1, ""), "{none}");
    assert!(none.contains("UNAUTHENTICATED"), "{none}");
    assert_eq!(
        tidings(&SEND, folder, &address, Some("stranger.tk")),
        (1, String::new(), none)
    );

    // Known, and without the scope: of the template's category, and of the method.
    let (code, _, err) = tidings(&SEND, folder, &address, Some("news.tk"));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("PERMISSION_DENIED"), "{err}");
    assert!(err.contains("needs the scope send:transactional"), "{err}");
    let erase = ["customers", "erase", "c-1", "--yes"];
    let (code, _, err) = tidings(&erase, folder, &address, Some("orders.tk"));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("needs the scope customer:erase"), "{err}");

    // What is sent by one is not listed for the other.
    let list = ["notifications", "list", "--json"];
    for (name, count) in [("orders.tk", 3), ("news.tk", 0)] {
        let (code, out, err) = tidings(&list, folder, &address, Some(name));
        assert_eq!(code, 0, "{err}");
        assert_eq!(out.lines().count(), count, "{out}");
    }
    assert_eq!(binary.terminate(), Some(0));
}

/// Neither a good key nor a bad one, nor the gateway's own, is in the log at its most talkative; nor what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(pki) = Pki::new(folder) else { return };
    let more = format!("{}{}", tls(&pki), caller(folder, "orders", &ALL));
    drop(key(folder, "stranger"));
    let config = configured(folder, "0.0.0.0:0", &more);
    let log = folder.join("log");
    let binary = Binary::logging_to(
        fs::File::create(&log).unwrap().into(),
        &["serve", "--config", config.to_str().unwrap()],
        &[("TIDINGS_LOG", "trace")],
    );
    let address = secure(&binary);
    let orders = connect(&with_key(&address, folder, "orders")).await;
    send(&orders, "r", shipped("c4n4ry-order")).await;
    let stranger = connect(&with_key(&address, folder, "stranger")).await;
    let status = try_send(&stranger, "r", shipped("1")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(binary.terminate(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("TRACE rustls"), "{log}");
    assert!(!log.contains("c4n4ry") && !log.contains("ada@"), "{log}");
    for name in ["orders.tk", "stranger.tk", "gateway.key"] {
        let secret = fs::read_to_string(folder.join(name)).unwrap();
        let secret = secret.lines().max_by_key(|line| line.len()).unwrap();
        assert!(!log.contains(secret), "{name} is in the log");
    }
}

/// What the command line refuses by itself: nothing is sent then.
#[test]
fn a_key_does_not_leave_in_the_clear_and_a_file_that_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(key(folder, "orders"));
    fs::write(folder.join("hash.tk"), key(folder, "other")).unwrap();
    fs::write(folder.join("two.tk"), "tk_a\r\ntk_b\r\n").unwrap();
    let good = fs::read_to_string(folder.join("orders.tk")).unwrap();
    let inside = format!("{}\r\nx: y", good.trim_end());
    fs::write(folder.join("inside.tk"), inside).unwrap();
    fs::write(folder.join("none.pem"), "nothing").unwrap();
    let said = |address: &str, options: &[(&str, &str)]| {
        let mut command = program();
        command.args(SEND).args(["--address", address]);
        for (option, name) in options {
            command.arg(option).arg(folder.join(name));
        }
        let (code, out, err) = run(&mut command);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(
            !err.contains("tk_a") && !err.contains(good.trim_end()),
            "{err}"
        );
        err
    };
    // Addresses of nobody (RFC 5737): had it gone there, the code would be 5.
    for address in ["192.0.2.1:1", "http://192.0.2.1:1", "gateway.invalid:1"] {
        let err = said(address, &[("--api-key-file", "orders.tk")]);
        assert!(err.contains("in the clear"), "{err}");
    }
    for (options, words) in [
        (&[("--api-key-file", "absent.tk")][..], "cannot be read"),
        (&[("--api-key-file", "hash.tk")], "holds no API key"),
        (&[("--api-key-file", "two.tk")], "holds no API key"),
        (&[("--api-key-file", "inside.tk")], "holds no API key"),
        (&[("--ca-file", "none.pem")], "has no certificate in it"),
        (&[("--key-file", "orders.tk")], "go together"),
    ] {
        let err = said("127.0.0.1:1", options);
        assert!(err.contains(words), "{err}");
    }
    let err = said("http://127.0.0.1:1", &[("--ca-file", "none.pem")]);
    assert!(err.contains("has no certificates"), "{err}");
    // A key that is there is never overwritten.
    let out = folder.join("orders.tk");
    let (code, _, err) = run(program().args(["keys", "new", "--out"]).arg(&out));
    assert_eq!(code, 1, "{err}");
    assert_eq!(fs::read_to_string(&out).unwrap(), good);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_to_everybody_and_the_interface_to_callers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let more = caller(folder, "orders", &["read"]);
    let config = configured(folder, "127.0.0.1:0\"\nreflection = true\n#", &more);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("#\"\n", "")).unwrap();
    let binary = serve(&config);
    let endpoint = tonic::transport::Endpoint::new(format!("http://{}", binary.grpc)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status, 1);

    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_request::MessageRequest,
    };
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut stranger = ServerReflectionClient::new(channel.clone());
    let refused = stranger
        .server_reflection_info(tokio_stream::once(asked.clone()))
        .await
        .unwrap_err();
    assert_eq!(Refusal::of(&refused).reason, "UNAUTHENTICATED");
    let key = fs::read_to_string(folder.join("orders.tk")).unwrap();
    let header: tonic::metadata::AsciiMetadataValue =
        format!("Bearer {}", key.trim_end()).parse().unwrap();
    let shown = move |mut request: tonic::Request<()>| {
        request
            .metadata_mut()
            .insert("authorization", header.clone());
        Ok(request)
    };
    let mut known = ServerReflectionClient::with_interceptor(channel, shown);
    let answer = known
        .server_reflection_info(tokio_stream::once(asked))
        .await
        .unwrap();
    assert!(answer.into_inner().message().await.unwrap().is_some());
    assert_eq!(binary.terminate(), Some(0));
}

/// One HTTP/2 request as no library would write it: its `authorization` may hold any byte. What came back.
async fn raw(address: &str, authorization: &[u8]) -> Vec<u8> {
    fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        // A literal header field without indexing, with a new name and no Huffman code (RFC 7541, 6.2.2).
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text);
        }
    }
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/tidings.v1.NotificationService/ListNotifications"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        literal(&mut block, name.as_bytes(), value.as_bytes());
    }
    literal(&mut block, b"authorization", authorization);
    let frame = |kind: u8, flags: u8, stream: u8, bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], bytes].concat()
    };
    let bytes = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, b""),
        frame(1, 4, 1, &block),
        frame(0, 1, 1, &[0; 5]),
        // Go away once the stream is done, so that the reading below ends.
        frame(7, 0, 0, &[0; 8]),
    ]
    .concat();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset connection is an answer, too.
    drop(socket.read_to_end(&mut answer).await);
    answer
}

/// The payload lengths of DATA frames that came back: an answered list has one, a refusal has none.
fn data_frames(mut bytes: &[u8]) -> usize {
    let mut found = 0;
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        found += usize::from(*kind == 0);
        bytes = rest.get(length..).unwrap_or_default();
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_other_bytes_around_it_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = configured(folder, "127.0.0.1:0", &caller(folder, "orders", &ALL));
    let binary = serve(&config);
    let key = fs::read_to_string(folder.join("orders.tk")).unwrap();
    let good = format!("Bearer {}", key.trim_end());
    let answer = raw(&binary.grpc, good.as_bytes()).await;
    assert_eq!(data_frames(&answer), 1, "{answer:?}");
    for wrong in [
        format!("{good}\r\n"),
        format!("{good}\r\nx: y"),
        format!("\r\n{good}"),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{good}\t"),
        format!("{good}, {good}"),
        good.replace(' ', "\t"),
        good.replace(' ', ""),
        String::new(),
    ] {
        let answer = raw(&binary.grpc, wrong.as_bytes()).await;
        assert_eq!(data_frames(&answer), 0, "{wrong:?}: {answer:?}");
    }
    // It goes on all the same, and counts what it refused.
    let client = connect(&with_key(&binary.grpc, folder, "orders")).await;
    send(&client, "r", shipped("1")).await;
    let refused = connect(&Target::at(&binary.grpc)).await;
    let status = try_send(&refused, "r", shipped("1")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(binary.terminate(), Some(0));
}
