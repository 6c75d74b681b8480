//! The binary as a process of its own: started on free ports, killed by its handle, never left behind.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

pub(crate) struct Binary {
    child: Child,
    pub(crate) grpc: String,
    pub(crate) console: String,
}

impl Binary {
    /// Starts `tidings ARGUMENTS` and waits until both doors are open.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::logging_to(Stdio::inherit(), arguments, variables)
    }

    /// The same, with its log where the test can read it.
    pub(crate) fn logging_to(log: Stdio, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // The pipe is read to its end, or the process would stop on a full one.
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .for_each(|line| drop(sender.send(line)));
        });
        let (mut grpc, mut console) = (None, None);
        while grpc.is_none() || console.is_none() {
            let line = match lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => line,
                Err(error) => {
                    drop(child.kill());
                    panic!("the binary did not say where it listens: {error}");
                }
            };
            if let Some(address) = line.strip_prefix("gRPC") {
                grpc = Some(address.trim().to_owned());
            }
            if let Some(address) = line.strip_prefix("console") {
                console = Some(address.trim().trim_start_matches("http://").to_owned());
            }
        }
        Self {
            child,
            grpc: grpc.unwrap(),
            console: console.unwrap(),
        }
    }

    /// `tidings dev` on this data folder.
    pub(crate) fn dev(data: &Path) -> Self {
        Self::start(
            &[
                "dev",
                "--headless",
                "--port",
                "0",
                "--ui-port",
                "0",
                "--data",
                data.to_str().unwrap(),
            ],
            &[],
        )
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; answers with the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
