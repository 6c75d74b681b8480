//! File systems of the tests' own, and saying a command.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

/// A file system, mounted until it is dropped.
pub(crate) struct Mount {
    pub(crate) at: PathBuf,
}

impl Mount {
    /// One that lies in a file.
    pub(crate) async fn file(image: &Path, at: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&at).unwrap();
        say("mount", &["-o", "loop", text(image), text(&at)]).await?;
        Ok(Self { at })
    }

    /// One in memory with room for `size`, as `mount` reads it.
    pub(crate) async fn memory(size: &str, at: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={size}");
        say("mount", &["-t", "tmpfs", "-o", &size, "tidings", text(&at)]).await?;
        Ok(Self { at })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Whoever used it is dead, but may not have let go yet.
        for _ in 0..100 {
            let done = std::process::Command::new("umount").arg(&self.at).output();
            if done.is_ok_and(|done| done.status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) async fn say(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(arguments).output().await;
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("{program}: {}", said.trim()))
}
