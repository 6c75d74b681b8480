//! F23: the system kills the gateway for want of memory. Its group may have little, and callers send more than fits.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tidings::client::Client;
use tidings::proto::{self, SendNotificationRequest};
use tokio::process::Command;

use super::Done;
use crate::gateway::{Gateway, binary};
use crate::shop;
use crate::trial::{Pace, Trial};

const LIMIT: &str = "128M";
/// How many large calls are under way at once: several times the limit.
const LARGE_CALLS: u64 = 64;
const LARGE_BYTES: usize = 3 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

pub(crate) async fn kills(count: u64, pace: Pace) -> Done {
    let group = match Group::make() {
        Ok(group) => group,
        Err(why) => return Done::Skipped(format!("no group with a limit can be had: {why}")),
    };
    let mut trial = Trial::begin(pace).await;
    for _ in 0..count {
        let before = group.kills();
        let Some(mut gateway) = group.start(&mut trial).await else {
            trial.died().await;
            continue;
        };
        trial.live(0.5, 1.5).await;
        let filling = fill(&gateway);
        let ended = gateway.end(PATIENCE).await;
        drop(filling);
        match ended {
            Some(status) if status.signal() == Some(SIGKILL) && group.kills() > before => {}
            Some(status) => trial.run.faults.push(format!("it ended by {status}")),
            None => {
                trial.run.faults.push("it was not killed".into());
                gateway.kill().await;
            }
        }
        trial.died().await;
    }
    Done::Run(trial.finish().await)
}

/// Calls that together are more than fits, refused in the end for a recipient that nobody has: they must cost memory, not be sent.
fn fill(gateway: &Gateway) -> tokio::task::JoinSet<()> {
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..LARGE_CALLS {
        let grpc = gateway.grpc.clone();
        calls.spawn(async move {
            let Ok(client) = Client::connect(&grpc).await else {
                return;
            };
            let attachment = proto::Attachment {
                filename: "large.pdf".into(),
                media_type: "application/pdf".into(),
                source: Some(proto::attachment::Source::Content(vec![b'x'; LARGE_BYTES])),
            };
            let mut intent = shop::intent(1);
            intent.template = "no.such.template".into();
            intent.attachments = vec![attachment];
            let request = SendNotificationRequest {
                intent: Some(intent),
                request_id: format!("large-{number}"),
                validate_only: false,
            };
            while client
                .notifications()
                .send_notification(request.clone())
                .await
                .is_err_and(|status| status.code() == tonic::Code::NotFound)
            {}
        });
    }
    calls
}

/// A memory group of this process's own, below the one that it runs in.
struct Group {
    path: PathBuf,
}

impl Group {
    fn make() -> Result<Self, String> {
        let mine = std::fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        let mine = mine
            .lines()
            .find_map(|line| line.split_once(":memory:"))
            .ok_or("there is no memory group of the first version")?;
        let parent = PathBuf::from("/sys/fs/cgroup/memory").join(mine.1.trim_start_matches('/'));
        let path = parent.join(format!("tidings-faults-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| error.to_string())?;
        let group = Self { path };
        std::fs::write(group.path.join("memory.limit_in_bytes"), LIMIT)
            .map_err(|error| error.to_string())?;
        Ok(group)
    }

    /// How often the system has killed in it.
    fn kills(&self) -> u64 {
        let text = std::fs::read_to_string(self.path.join("memory.oom_control")).unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        found.unwrap().parse().unwrap()
    }

    /// Starts the gateway as a member.
    async fn start(&self, trial: &mut Trial) -> Option<Gateway> {
        // The shell joins, then becomes the program.
        let mut command = Command::new("sh");
        let join = format!(
            "echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"",
            self.path.display()
        );
        command.args(["-c", &join]).arg(binary());
        trial.start_as(command).await
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It can go when its last member has.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
