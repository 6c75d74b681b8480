//! Every method that is described, with every kind of caller, on the program itself.

use std::fs;

use prost_types::FileDescriptorSet;
use tidings::proto::{DESCRIPTORS, WireMessage as _};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::calls::Refusal;
use crate::{ALL, caller, configured, key, serve};

fn methods() -> Vec<String> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let (package, service) = (file.package(), service.name());
                paths.push(format!("/{package}.{service}/{}", method.name()));
            }
        }
    }
    paths
}

/// Calls with an empty message and says how it ended; OK when something was answered.
async fn call(channel: &Channel, path: &str, key: Option<&str>) -> Result<(), tonic::Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(());
    if let Some(key) = key {
        let value = format!("Bearer {key}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let answer = grpc.server_streaming(request, path.parse().unwrap(), codec);
    // A stream has a first message or ends, each at once.
    answer.await?.into_inner().message().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_method_is_open_to_those_who_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut more = caller(folder, "all", &ALL);
    // One caller for each scope, and one whose scope is not the method's is then among them.
    let names: Vec<_> = ALL.iter().map(|scope| scope.replace(':', "_")).collect();
    for (name, scope) in names.iter().zip(ALL) {
        more.push_str(&caller(folder, name, &[scope]));
    }
    drop(key(folder, "stranger"));
    let binary = serve(&configured(folder, "127.0.0.1:0", &more));
    let endpoint = Endpoint::new(format!("http://{}", binary.grpc)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let key_of = |name: &str| fs::read_to_string(folder.join(format!("{name}.tk"))).unwrap();

    let methods = methods();
    assert!(methods.len() >= 17, "{methods:?}");
    for path in &methods {
        let stranger = key_of("stranger");
        let mut said = Vec::new();
        for key in [None, Some(stranger.trim_end()), Some("tk_"), Some("")] {
            let status = call(&channel, path, key).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{path} {key:?}");
            said.push(Refusal::of(&status).words);
        }
        said.dedup();
        assert_eq!(said.len(), 1, "{said:?}");

        // An empty message is seldom a good one; what counts is that the service was asked.
        let all = call(&channel, path, Some(key_of("all").trim_end())).await;
        let refused = |code| code == Code::Unauthenticated || code == Code::PermissionDenied;
        assert!(!all.is_err_and(|status| refused(status.code())), "{path}");
        let mut open = Vec::new();
        for (name, scope) in names.iter().zip(ALL) {
            match call(&channel, path, Some(key_of(name).trim_end())).await {
                Err(status) if refused(status.code()) => {
                    let refusal = Refusal::of(&status);
                    assert_eq!(refusal.reason, "PERMISSION_DENIED", "{path} {scope}");
                    assert!(!refusal.fact("scope").contains(scope), "{path} {scope}");
                }
                _ => open.push(scope),
            }
        }
        let sending = open == ALL[..4];
        assert!(sending || open.len() == 1, "{path} is open to {open:?}");
    }
    let unknown = "/tidings.v1.OperatorService/PauseDelivery";
    let status = call(&channel, unknown, Some(key_of("all").trim_end())).await;
    assert_eq!(status.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(binary.terminate(), Some(0));
}
