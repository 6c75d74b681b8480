//! The configuration: what loads, and each thing that is refused, with the words that say what is right.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tidings::config::{Config, DEFAULT_TOML, LogFormat, ProviderKind, QueueKind, StoreKind};
use tidings::domain::channel::{Channel, Lane};
use tidings::provider::discord::DiscordMode;
use tidings::provider::smtp::TlsMode;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, mode);
        path
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) {}

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let folder = Folder::new();
    let path = folder.file("tidings.toml", text, 0o644);
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&path), env).map_err(|error| {
        let start = format!("{}/", folder.0.path().display());
        let lines: Vec<_> = error
            .to_string()
            .lines()
            .map(|line| line.replace(&start, ""))
            .collect();
        assert_eq!(lines.len(), error.faults().len(), "a fault is one line");
        lines
    })
}

fn refused(text: &str) -> String {
    load(text, &[]).expect_err(text).join("\n")
}

#[test]
fn the_defaults_load_and_are_what_the_documentation_says() {
    let config = Config::defaults().unwrap();
    assert_eq!(config.server.grpc_address.to_string(), "127.0.0.1:50051");
    assert_eq!(config.server.console_address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.drain, Duration::from_secs(30));
    assert!(!config.server.reflection);
    assert_eq!(config.store.path, Path::new("/var/lib/tidings"));
    assert_eq!(config.store.max_size, None);
    assert_eq!(config.queue.window, 10_000);
    assert_eq!(config.catalog.templates, None);
    assert_eq!(config.workers.of(Channel::Email, Lane::Transactional), 8);
    assert_eq!(config.telemetry.format, LogFormat::Text);
    for channel in Channel::ALL {
        let provider = config.provider(*channel).unwrap();
        assert!(
            matches!(provider.kind, ProviderKind::Outbox(_)),
            "{channel}"
        );
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let config = load(
        "[server]\ndrain = \"1m\"\nreflection = true\n[workers.sms]\nconcurrency_bulk = 7\n",
        &[
            ("TIDINGS_SERVER__DRAIN", "2m"),
            ("TIDINGS_WORKERS__EMAIL__CONCURRENCY_BULK", "9"),
            ("TIDINGS_TELEMETRY__FORMAT", "json"),
            ("TIDINGS_CATALOG__RELOAD", "true"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.drain, Duration::from_secs(120));
    assert!(config.server.reflection);
    assert!(config.catalog.reload);
    assert_eq!(config.workers.of(Channel::Sms, Lane::Bulk), 7);
    assert_eq!(config.workers.of(Channel::Email, Lane::Bulk), 9);
    assert_eq!(config.telemetry.format, LogFormat::Json);
}

#[test]
fn durations_have_units_and_are_read_by_one_parser() {
    for (text, seconds) in [("30s", 30), ("5m", 300), ("1m 30s", 90), ("90000ms", 90)] {
        let config = load(&format!("[server]\ndrain = \"{text}\"\n"), &[]).unwrap();
        assert_eq!(config.server.drain, Duration::from_secs(seconds), "{text}");
    }
    for text in [
        "\"-1s\"",
        "\"0s\"",
        "\"1e9d\"",
        "\"30\"",
        "\"\"",
        "30",
        "\"5 parsecs\"",
        "\"1mo\"",
        "\"99999999999999999999s\"",
        "\"5d\"",
    ] {
        let fault = refused(&format!("[server]\ndrain = {text}\n"));
        assert_eq!(
            fault,
            format!(
                "tidings.toml:2: server.drain: is {text}; give a duration with a unit from 1s to 10m, such as \"5m\""
            )
        );
    }
}

#[test]
fn sizes_have_units_and_0_is_no_limit() {
    let limit = |text: &str| {
        load(&format!("[store]\nmax_size = {text}\n"), &[]).map(|config| config.store.max_size)
    };
    assert_eq!(limit("\"0\""), Ok(None));
    assert_eq!(limit("\"16MiB\""), Ok(Some(16 << 20)));
    assert_eq!(limit("\"20 GiB\""), Ok(Some(20 << 30)));
    assert_eq!(limit("\"16TiB\""), Ok(Some(16 << 40)));
    for bad in [
        "\"15MiB\"",
        "\"17TiB\"",
        "\"20\"",
        "\"20GB\"",
        "\"-1GiB\"",
        "\"\"",
        "20",
        "0",
        "\"99999999999999999999TiB\"",
    ] {
        let faults = limit(bad).expect_err(bad);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0]
                .contains("a size with a unit from 16MiB to 16TiB, such as \"20GiB\", or \"0\""),
            "{faults:?}"
        );
    }
}

/// Neither does anything in this release, so neither may look as if it did.
#[test]
fn settings_that_nothing_uses_are_unknown() {
    for text in [
        "[server]\npages_address = \"127.0.0.1:8090\"\n",
        "[limits]\nmax_open_notifications = 5\n",
    ] {
        assert!(
            refused(text).contains("no such setting"),
            "{}",
            refused(text)
        );
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    assert_eq!(
        refused("[server]\n# a comment\ndrian = \"1s\"\n"),
        "tidings.toml:3: server.drian: no such setting; did you mean server.drain?"
    );
    assert_eq!(
        refused("[sever]\ndrain = \"1s\"\n"),
        "tidings.toml:2: sever.drain: no such setting; did you mean server.drain?"
    );
    assert!(refused("[wrokers]\n").contains("no such setting"));
    assert!(refused("flavour = 1\n").contains("tidings.toml:1: flavour: no such setting"));
    assert_eq!(
        refused("server = 3\n"),
        "tidings.toml:1: server: is a section, not a setting; put its keys under it"
    );
}

#[test]
fn an_unknown_variable_is_refused_by_name() {
    let fault = |name: &str| load("", &[(name, "1")]).unwrap_err().join("\n");
    assert_eq!(
        fault("TIDINGS_SERVER__DRIAN"),
        "TIDINGS_SERVER__DRIAN: no such setting; did you mean TIDINGS_SERVER__DRAIN?"
    );
    assert_eq!(
        fault("TIDINGS_ADRESS"),
        "TIDINGS_ADRESS: no such setting; did you mean TIDINGS_ADDRESS?"
    );
    assert!(fault("TIDINGS_SERVER_DRAIN").contains("did you mean TIDINGS_SERVER__DRAIN?"));
    assert!(fault("TIDINGS_XYZZY").contains("TIDINGS_SECTION__KEY"));
}

#[test]
fn variables_that_are_no_settings_are_let_alone() {
    let service_links = [
        ("TIDINGS_SERVICE_HOST", "10.0.0.1"),
        ("TIDINGS_SERVICE_PORT_GRPC", "50051"),
        ("TIDINGS_PORT", "tcp://10.0.0.1:50051"),
        ("TIDINGS_PORT_50051_TCP_ADDR", "10.0.0.1"),
    ];
    load("", &service_links).unwrap();
    load(
        "",
        &[
            ("TIDINGS_ADDRESS", "x"),
            ("TIDINGS_CONFIG", "y"),
            ("TIDINGS_LOG", "z"),
            ("TIDINGS_TEST_REQUIRE", "1"),
        ],
    )
    .unwrap();
    assert!(load("", &[("TIDINGS_PORT", "50051")]).is_err());
}

#[test]
fn wrong_types_and_ranges_are_told_with_what_is_right() {
    for (text, want) in [
        (
            "[server]\nreflection = \"yes\"",
            "is \"yes\"; give true or false",
        ),
        (
            "[queue]\nwindow = 0",
            "is 0; give a whole number from 1 to 1000000",
        ),
        ("[queue]\nwindow = -5", "is -5; give a whole number"),
        ("[queue]\nwindow = 1.5", "is 1.5; give a whole number"),
        ("[queue]\nwindow = \"many\"", "give a whole number"),
        (
            "[queue]\nwindow = 99999999999999999999",
            "give a whole number",
        ),
        (
            "[queue]\nkind = \"kafka\"",
            "is \"kafka\"; give \"memory\" or \"rabbitmq\"",
        ),
        (
            "[store]\nkind = \"mysql\"",
            "is \"mysql\"; give \"sqlite\" or \"postgres\"",
        ),
        (
            "[queue.rabbitmq]\nhosts = [\"mq-1\"]",
            "give each as a name and a port",
        ),
        (
            "[queue.rabbitmq]\nhosts = []",
            "give each as a name and a port",
        ),
        (
            "[server]\nroles = []",
            "is empty; give some of ingest, worker",
        ),
        (
            "[server]\nroles = [\"boss\"]",
            "has \"boss\"; give some of ingest, worker",
        ),
        (
            "[server]\nroles = [\"worker\"]",
            "set store.kind = \"postgres\" and queue.kind = \"rabbitmq\"",
        ),
        (
            "[server]\nroles = [\"worker\"]\n[store]\nkind = \"postgres\"",
            "set store.kind = \"postgres\" and queue.kind = \"rabbitmq\"",
        ),
        (
            "[workers]\nchannels = [\"fax\"]",
            "has \"fax\"; give some of email, sms, chat",
        ),
        (
            "[workers]\nlanes = [\"slow\"]",
            "has \"slow\"; give some of critical, transactional, bulk",
        ),
        ("[store]\npath = \"\"", "is empty; give the folder"),
        ("[store]\npath = [1]", "is a list; give text"),
        ("[store]\npath = \"a\\u0000b\"", "give text on one line"),
        (
            "[telemetry]\nlog = \"loud\"",
            "\"error\" or \"warn\" or \"info\"",
        ),
        ("[workers.email]\nconcurrency_bulk = 257", "from 1 to 256"),
        (
            "[server]\ngrpc_address = \"localhost\"",
            "give an IP address and a port",
        ),
    ] {
        let fault = refused(text);
        assert!(
            fault.starts_with("tidings.toml:2: ") && fault.contains(want),
            "{text}: {fault}"
        );
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = load(
        "[server]\ndrain = 3\nreflection = 3\n",
        &[("TIDINGS_QUEUE__WINDOW", "none")],
    )
    .unwrap_err();
    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    for text in [
        "[server]\ndrain = \"1s\"\ndrain = \"2s\"\n",
        "[server]\n\ndrain: 3\n",
        "[server]\n\n\tdrain = = 3\n",
    ] {
        let fault = refused(text);
        assert!(
            fault.starts_with("tidings.toml:3: not readable as TOML"),
            "{fault}"
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_refused_by_name() {
    let folder = Folder::new();
    let fault = |path: &Path| {
        Config::load(Some(path), std::iter::empty())
            .unwrap_err()
            .to_string()
    };
    assert!(fault(&folder.0.path().join("absent.toml")).contains("absent.toml cannot be read"));
    assert!(fault(folder.0.path()).contains("is not a file"));
    let bytes = folder.0.path().join("latin1.toml");
    fs::write(&bytes, b"# caf\xe9\n").unwrap();
    assert!(fault(&bytes).contains("is not UTF-8"));
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    for (key, words) in [
        ("grpc_address", "callers must be known then"),
        ("console_address", "the console asks nobody who they are"),
    ] {
        for address in ["0.0.0.0:50000", "[::]:50000", "192.168.1.5:50000"] {
            let fault = refused(&format!("[server]\n{key} = \"{address}\"\n"));
            assert!(fault.contains(words), "{fault}");
            assert_eq!(fault.lines().count(), 1, "{fault}");
        }
    }
    let fault = refused("[server]\nconsole_address = \"127.0.0.1:50051\"\n");
    assert!(
        fault.contains("is the same as server.grpc_address"),
        "{fault}"
    );
    load(
        "[server]\ngrpc_address = \"[::1]:0\"\nconsole_address = \"127.0.0.1:0\"\n",
        &[],
    )
    .unwrap();
}

#[test]
fn whoever_serves_strangers_has_said_so() {
    let open = "[server]\ngrpc_address = \"0.0.0.0:50051\"\ninsecure = true\n";
    assert!(load(open, &[]).unwrap().server.insecure);
    assert!(!load("", &[]).unwrap().server.insecure);
    let named = format!(
        "{open}[callers.orders]\nscopes = [\"read\"]\napi_key_hashes = [\"sha256:{}\"]\n",
        "0".repeat(64)
    );
    let fault = refused(&named);
    assert!(fault.contains("and there are callers"), "{fault}");
    let fault = refused(&format!("{open}[store]\nkind = \"postgres\"\n"));
    assert!(fault.contains("with the embedded store"), "{fault}");
    // It opens no other door.
    let fault = refused(&format!("{open}console_address = \"0.0.0.0:8080\"\n"));
    assert!(fault.contains("the console asks nobody"), "{fault}");
}

#[test]
fn health_alone_may_be_told_to_everybody() {
    assert_eq!(load("", &[]).unwrap().server.health_address, None);
    let config = load("[server]\nhealth_address = \"0.0.0.0:9090\"\n", &[]).unwrap();
    let address = config.server.health_address.unwrap();
    assert_eq!(address.to_string(), "0.0.0.0:9090");
    let fault = refused("[server]\nhealth_address = \"here\"\n");
    assert!(fault.contains("give an IP address and a port"), "{fault}");
    for taken in ["127.0.0.1:50051", "127.0.0.1:8080"] {
        let fault = refused(&format!("[server]\nhealth_address = \"{taken}\"\n"));
        assert!(fault.contains("give it a port of its own"), "{fault}");
    }
}

/// The commented examples of the default file, as a file.
fn examples() -> String {
    DEFAULT_TOML
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_examples_in_the_default_file_are_settings_with_their_defaults() {
    let folder = Folder::new();
    let secret = folder.file("secret", "s3cret-value\n", 0o600);
    let examples = examples();
    let (email_outbox, real) = examples.split_once("[providers.smtp").unwrap();
    let captured = load(email_outbox, &[]).unwrap();
    assert_eq!(captured.provider(Channel::Email).unwrap().name, "captured");

    let mut text = format!("[providers.smtp{real}");
    for name in ["smtp_password", "twilio_token", "discord_token"] {
        text = text.replace(&format!("/run/secrets/{name}"), secret.to_str().unwrap());
    }
    let with_examples = load(&text, &[]).unwrap();
    let minimal = load(
        &format!(
            "[providers.smtp.main]\nhost = \"smtp.shop.example\"\nusername = \"shop\"\npassword_file = {secret:?}\n\
             [providers.twilio.main]\naccount_sid = \"AC00000000000000000000000000000000\"\nauth_token_file = {secret:?}\nfrom = \"+15005550006\"\n\
             [providers.discord.main]\ntoken_file = {secret:?}\n"
        ),
        &[],
    )
    .unwrap();
    assert_eq!(
        format!("{:?}", with_examples.providers),
        format!("{:?}", minimal.providers)
    );
    assert!(
        !format!("{minimal:?}").contains("s3cret"),
        "a secret is never printed"
    );
}

#[test]
fn providers_are_read_and_their_secrets_trimmed() {
    let folder = Folder::new();
    let secret = folder.file("token", "tok-123\r\n", 0o400);
    let config = load(
        &format!(
            "[providers.smtp.relay]\nhost = \"127.0.0.1\"\ntls = \"none\"\nusername = \"u\"\npassword_file = {secret:?}\nmax_connections = 2\nrate = \"600/min\"\n\
             [providers.twilio.vendor]\nbase_url = \"http://127.0.0.1:9000/\"\naccount_sid = \"AC1\"\nauth_token_file = {secret:?}\nmessaging_service_sid = \"MG1\"\n\
             [providers.discord.team]\nmode = \"webhook\"\nwebhook_id = \"123456789012345678\"\ntoken_file = {secret:?}\nbase_url = \"http://127.0.0.1:9001\"\ntimeout = \"5s\"\n"
        ),
        &[
            ("TIDINGS_PROVIDERS__SMTP__RELAY__DATA_TIMEOUT", "10m"),
            ("TIDINGS_PROVIDERS__DISCORD__TEAM__RATE", "5/s"),
        ],
    )
    .unwrap();
    let rate = |channel| {
        config
            .provider(channel)
            .unwrap()
            .rate
            .map(|rate| rate.to_string())
    };
    assert_eq!(
        [Channel::Email, Channel::Sms, Channel::Chat].map(rate),
        [Some("600/min".to_owned()), None, Some("5/s".to_owned())]
    );
    match &config.provider(Channel::Email).unwrap().kind {
        ProviderKind::Smtp(smtp) => {
            assert_eq!(
                (smtp.port, smtp.tls, smtp.max_connections),
                (25, TlsMode::None, 2)
            );
            assert_eq!(smtp.final_dot_ms, 600_000);
            assert_eq!(smtp.password.reveal(), "tok-123");
        }
        other => panic!("{other:?}"),
    }
    match &config.provider(Channel::Sms).unwrap().kind {
        ProviderKind::Twilio(twilio) => {
            assert_eq!(twilio.base_url, "http://127.0.0.1:9000");
            assert_eq!(
                (twilio.from.as_str(), twilio.messaging_service_sid.as_str()),
                ("", "MG1")
            );
        }
        other => panic!("{other:?}"),
    }
    match &config.provider(Channel::Chat).unwrap().kind {
        ProviderKind::Discord(discord) => {
            assert!(matches!(
                discord.mode,
                DiscordMode::Webhook {
                    id: 123_456_789_012_345_678,
                    ..
                }
            ));
            assert_eq!(
                (discord.timeout_ms, discord.base_url.as_str()),
                (5000, "http://127.0.0.1:9001")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn providers_that_cannot_work_are_refused() {
    let folder = Folder::new();
    let secret = folder.file("secret", "x\n", 0o600);
    let secret = format!("{secret:?}");
    for (text, want) in [
        (
            "[providers.smtp.main]".to_owned(),
            "providers.smtp.main.host: is missing",
        ),
        (
            "[providers.smtp.main]\nhost = \"\"".to_owned(),
            "host: is empty",
        ),
        (
            "[providers.smtp.main]\nhost = \"h\"\nhots = \"h\"".to_owned(),
            "did you mean providers.smtp.main.host?",
        ),
        (
            "[providers.smtp.main]\nhost = \"h\"\nusername = \"u\"".to_owned(),
            "password_file: is missing",
        ),
        (
            format!("[providers.smtp.main]\nhost = \"h\"\npassword_file = {secret}"),
            "username: is missing",
        ),
        (
            format!(
                "[providers.smtp.main]\nhost = \"h\"\ntls = \"none\"\nusername = \"u\"\npassword_file = {secret}"
            ),
            "in the clear",
        ),
        (
            "[providers.smtp.main]\nhost = \"h\"\nport = 0".to_owned(),
            "from 1 to 65535",
        ),
        (
            "[providers.smtp.main]\nhost = \"h\"\nca_file = \"/nowhere/ca.pem\"".to_owned(),
            "/nowhere/ca.pem cannot be read",
        ),
        (
            "[providers.smtp.Main]\nhost = \"h\"".to_owned(),
            "a provider's name has",
        ),
        (
            "[providers.smtp.a]\nhost = \"h\"\n[providers.smtp.b]\nhost = \"h\"".to_owned(),
            "is a second provider for email beside providers.smtp.a",
        ),
        (
            "[providers.outbox.a]\nchannel = \"email\"\n[providers.smtp.b]\nhost = \"h\""
                .to_owned(),
            "is a second provider for email",
        ),
        (
            "[providers.smtp.main]\nhost = \"h\"\nrate = \"50 a second\"".to_owned(),
            "providers.smtp.main.rate: is \"50 a second\"; give messages in a time, such as \"50/s\"",
        ),
        (
            "[providers.smtp.main]\nhost = \"h\"\nrate = 50".to_owned(),
            "providers.smtp.main.rate: is 50; give messages in a time",
        ),
        (
            "[providers.outbox.a]".to_owned(),
            "providers.outbox.a.channel: is missing",
        ),
        (
            "[providers.outbox.a]\nchannel = \"fax\"".to_owned(),
            "is \"fax\"; give \"email\"",
        ),
        (
            "[providers.smpt.main]\nhost = \"h\"".to_owned(),
            "no such kind of provider; did you mean smtp?",
        ),
        ("[providers.twilio.a]".to_owned(), "account_sid: is missing"),
        (
            "[providers.twilio.a]\naccount_sid = \"AC\"".to_owned(),
            "auth_token_file: is missing",
        ),
        (
            format!("[providers.twilio.a]\naccount_sid = \"AC\"\nauth_token_file = {secret}"),
            "from: is missing",
        ),
        (
            format!(
                "[providers.twilio.a]\naccount_sid = \"AC\"\nauth_token_file = {secret}\nfrom = \"+1\"\nmessaging_service_sid = \"MG\""
            ),
            "stands beside messaging_service_sid",
        ),
        (
            format!(
                "[providers.twilio.a]\naccount_sid = \"AC\"\nauth_token_file = {secret}\nfrom = \"+1\"\nbase_url = \"http://api.example\""
            ),
            "give a URL that starts with https://",
        ),
        (
            format!(
                "[providers.twilio.a]\naccount_sid = \"AC\"\nauth_token_file = {secret}\nfrom = \"+1\"\nbase_url = \"https://user:pw@api.example\""
            ),
            "give a URL that starts with https://",
        ),
        ("[providers.discord.a]".to_owned(), "token_file: is missing"),
        (
            format!("[providers.discord.a]\ntoken_file = {secret}\nwebhook_id = \"1\""),
            "is only for mode = \"webhook\"",
        ),
        (
            format!("[providers.discord.a]\ntoken_file = {secret}\nmode = \"webhook\""),
            "webhook_id: is needed",
        ),
        (
            format!(
                "[providers.discord.a]\ntoken_file = {secret}\nbase_url = \"http://10.0.0.1:80\""
            ),
            "a URL that starts with https://",
        ),
    ] {
        let fault = refused(&text);
        assert!(fault.contains(want), "{text}\n{fault}");
    }
}

#[test]
fn a_secret_file_is_refused_without_showing_what_is_in_it() {
    let folder = Folder::new();
    let long = "topsecret".repeat(4000);
    for (name, text, mode, want) in [
        ("empty", "\n", 0o600, "is empty"),
        ("public", "topsecret\n", 0o644, "chmod 600"),
        (
            "lines",
            "topsecret\ntopsecret\n",
            0o600,
            "more than one line",
        ),
        ("long", long.as_str(), 0o600, "is larger than"),
    ] {
        if cfg!(not(unix)) && name == "public" {
            continue;
        }
        let path = folder.file(name, text, mode);
        let fault = refused(&format!("[providers.discord.a]\ntoken_file = {path:?}\n"));
        assert!(
            fault.contains(want) && !fault.contains("topsecret"),
            "{fault}"
        );
        assert_eq!(fault.lines().count(), 1, "{fault}");
    }
    let fault = refused("[providers.discord.a]\ntoken_file = \"/nowhere/token\"\n");
    assert!(fault.contains("/nowhere/token cannot be read"), "{fault}");
    let fault = refused("[providers.discord.a]\ntoken_file = \"/dev/zero\"\n");
    assert!(fault.contains("is not a file"), "{fault}");
}

#[test]
fn several_processes_share_a_database_and_a_broker() {
    let text = "[server]\nroles = [\"worker\", \"scheduler\"]\nconsole_address = \"0.0.0.0:8080\"\ngrpc_address = \"0.0.0.0:50051\"\n\
        [store]\nkind = \"postgres\"\n[store.postgres]\nhost = \"db\"\ntls = true\nwriters = 2\n\
        [queue]\nkind = \"rabbitmq\"\n[queue.rabbitmq]\nhosts = [\"mq-1:5671\", \"mq-2:5671\"]\ntls = true\nprefetch = 4\n\
        [workers]\nchannels = [\"email\"]\nlanes = [\"bulk\"]\n";
    let config = load(text, &[]).unwrap();
    let roles = config.server.roles;
    assert_eq!(roles.words(), ["worker", "scheduler"]);
    // Neither callers nor pages are served, so nobody is asked who they are.
    assert!(!config.server.grpc_address.ip().is_loopback());
    let StoreKind::Postgres(postgres) = &config.store.kind else {
        panic!("{:?}", config.store.kind)
    };
    assert_eq!((postgres.host.as_str(), postgres.port), ("db", 5432));
    assert_eq!((postgres.writers, postgres.readers), (2, 4));
    assert_eq!(postgres.tls, tidings::store::postgres::Tls::Require);
    let QueueKind::Rabbitmq(rabbitmq) = &config.queue.kind else {
        panic!("{:?}", config.queue.kind)
    };
    let hosts = [("mq-1".to_owned(), 5671), ("mq-2".to_owned(), 5671)];
    assert_eq!(rabbitmq.hosts, hosts);
    assert!(rabbitmq.tls.is_some());
    assert_eq!((rabbitmq.prefetch, rabbitmq.window), (4, 10_000));
    let workers = &config.workers;
    assert_eq!(workers.of(Channel::Email, Lane::Bulk), 4);
    assert_eq!(workers.of(Channel::Email, Lane::Critical), 0);
    assert_eq!(workers.of(Channel::Sms, Lane::Bulk), 0);
    // The environment, and the options of `serve`, say lists with commas.
    let hosts = [("TIDINGS_QUEUE__RABBITMQ__HOSTS", "a:1, b:2")];
    let config = load(text, &hosts).unwrap();
    let QueueKind::Rabbitmq(rabbitmq) = &config.queue.kind else {
        panic!("{:?}", config.queue.kind)
    };
    assert_eq!(rabbitmq.hosts.len(), 2);
}
