//! What holds for every answer.

use super::*;

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let desk = Desk::open(|_| {}).await;
    for path in [
        "/",
        "/api/inbox",
        "/api/nothing",
        "/healthz",
        "/assets/app.js",
    ] {
        let answer = desk.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'self'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn probes_tell_alive_from_ready_and_metrics_are_prometheus_text() {
    let desk = Desk::open(|_| {}).await;
    assert_eq!(desk.get("/healthz").await.status, 200);
    assert_eq!(desk.get("/readyz").await.status, 503);
    // A scraper comes under a service's name.
    let metrics = desk.ask("GET /metrics", "Host: tidings.shop.svc\r\n").await;
    assert_eq!(metrics.text(), "tidings_build_info 1\n");
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
}

#[tokio::test]
async fn names_that_are_not_this_machine_are_refused() {
    let desk = Desk::open(|_| {}).await;
    for host in [
        "Host: evil.example\r\n",
        "Host: 192.0.2.1\r\n",
        "",
        "Host: localhost\r\nHost: evil.example\r\n",
    ] {
        for path in [
            "/",
            "/api/inbox",
            "/api/events",
            "/assets/app.js",
            "/nothing",
        ] {
            let answer = desk.ask(&format!("GET {path}"), host).await;
            assert!(matches!(answer.status, 400 | 421), "{path} as {host:?}");
        }
    }
    let refused = desk.ask("GET /api/inbox", "Host: evil.example\r\n").await;
    assert_eq!(refused.json()["reason"], "HOST_REFUSED");
    let port = desk.port;
    for host in [
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        "LocalHost:1".into(),
    ] {
        let answer = desk
            .ask("GET /api/inbox", &format!("Host: {host}\r\n"))
            .await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn it_only_reads() {
    let desk = Desk::open(|_| {}).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in [
            "/",
            "/api/inbox",
            "/api/notifications",
            "/metrics",
            "/api/events",
        ] {
            let line = format!("{method} {path}");
            let answer = desk.ask(&line, "Host: localhost\r\n").await;
            assert_eq!(answer.status, 405, "{line}");
            assert_eq!(answer.json()["reason"], "METHOD_NOT_ALLOWED", "{line}");
        }
    }
}

#[tokio::test]
async fn paths_lead_nowhere_but_to_what_is_listed() {
    let desk = Desk::open(|_| {}).await;
    for path in [
        "/nothing",
        "/assets/../../web.rs",
        "/assets/%2e%2e/%2e%2e/web.rs",
        "/assets//etc/passwd",
        "/assets/%00",
        "/api/inbox/not-an-id",
        "/api/inbox/0192f600-0000-7000-8000-000000000000",
        "/api/notifications/%ff",
        "/api/notifications/0192f600-0000-7000-8000-000000000000",
    ] {
        let answer = desk.get(path).await;
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
    }
    let page = desk.get("/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let tag = page.header("etag").to_owned();
    let again = format!("Host: localhost\r\nIf-None-Match: {tag}\r\n");
    assert_eq!(desk.ask("GET /", &again).await.status, 304);
}
