//! What a site has beside two servers, receivers and callers, and how these behave.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fault_proxy::FaultProxy;
use crate::mount::{Mount, say, text};
use crate::receivers::{Manners, Receivers};

/// Orders a second.
const RATE: u64 = 80;

/// A variable of the environment.
pub(crate) type Variable = (&'static str, String);

/// What a site has beside two servers, receivers and callers, and how these behave.
pub(crate) struct Wishes {
    /// Of every process, by the names of the environment without their beginning.
    pub(crate) settings: Vec<Variable>,
    /// Whether there is a proxy in front of each receiver.
    pub(crate) proxied: bool,
    pub(crate) manners: Manners,
    /// Orders a second.
    pub(crate) orders: u64,
    /// Whether there are three brokers as one cluster instead of one.
    pub(crate) cluster: bool,
    /// Whether the database's data lies on a file system of its own.
    pub(crate) disk: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        let manners = Manners {
            delay: Duration::from_millis(300),
            trouble: true,
        };
        Self {
            settings: Vec::new(),
            proxied: false,
            manners,
            orders: RATE,
            cluster: false,
            disk: false,
        }
    }
}

impl Wishes {
    /// No orders of its own, and receivers that take everything after `delay`.
    pub(crate) fn quiet(delay: Duration) -> Self {
        let manners = Manners {
            delay,
            trouble: false,
        };
        Self {
            manners,
            orders: 0,
            ..Self::default()
        }
    }
}

/// A file system in a file.
pub(crate) struct Disk {
    pub(crate) image: PathBuf,
    pub(crate) at: Mount,
    pub(crate) folder: tempfile::TempDir,
}

impl Disk {
    pub(crate) async fn make() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let_in(folder.path());
        let image = folder.path().join("disk");
        say("truncate", &["--size", "512M", text(&image)]).await?;
        say("mkfs.ext4", &["-q", "-F", text(&image)]).await?;
        let at = Mount::file(&image, folder.path().join("mount")).await?;
        Ok(Self { image, at, folder })
    }
}

/// Lets others pass through a folder.
pub(crate) fn let_in(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The ways to the receivers.
pub(crate) struct Ways {
    pub(crate) mail: FaultProxy,
    pub(crate) sms: FaultProxy,
    pub(crate) chat: FaultProxy,
}

impl Ways {
    /// Puts a proxy in front of each.
    pub(crate) async fn before(receivers: &mut Receivers) -> Self {
        let port_of = |url: &str| -> u16 {
            let rest = url.rsplit(':').next().unwrap();
            rest.split('/').next().unwrap().parse().unwrap()
        };
        let proxy = async |port: u16| FaultProxy::start(([127, 0, 0, 1], port).into()).await;
        let mail = proxy(receivers.mail_port).await;
        let sms = proxy(port_of(&receivers.sms_url)).await;
        let chat = proxy(port_of(&receivers.chat_url)).await;
        receivers.mail_port = mail.address().port();
        receivers.sms_url = format!("http://{}", sms.address());
        receivers.chat_url = format!("http://{}/api/v10", chat.address());
        Self { mail, sms, chat }
    }
}
