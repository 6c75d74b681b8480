//! Prism: a server made from a published API description, which refuses what the description does not allow.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::skip::{root, skip, tool};

pub(crate) struct Prism {
    child: Child,
    pub(crate) url: String,
}

impl Prism {
    /// Serves `name.json` from `TIDINGS_OPENAPI_DIR` or the shared data folder; `None` after saying why not.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        let folder = std::env::var_os("TIDINGS_OPENAPI_DIR")
            .map_or_else(|| root().join("../shared/data/openapi"), PathBuf::from);
        let worktree = root().join("../../shared/data/openapi");
        let file = [folder, worktree]
            .map(|folder| folder.join(format!("{name}.json")))
            .into_iter()
            .find(|file| file.exists());
        let Some(file) = file else {
            skip(&format!("{name}.json is not in TIDINGS_OPENAPI_DIR"));
            return None;
        };
        let program = tool(&["node/node_modules/.bin/prism", "node_modules/.bin/prism"])?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(program)
            .args(["mock", "-h", "127.0.0.1", "-p", &port.to_string()])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prism = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
            {
                return Some(prism);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("prism did not start within a minute");
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
