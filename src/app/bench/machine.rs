//! Where figures came about: without it they say nothing. Read from the system's own files; what it does not tell is left out.

use std::path::Path;

use serde_json::{Value, json};

/// A machine and the program on it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    disk: String,
    memory_mib: u64,
}

/// How the program was built.
const PROFILE: &str = if cfg!(debug_assertions) {
    "debug"
} else {
    "release"
};

impl Machine {
    /// This one, with the disk under `folder`.
    pub(super) fn look(folder: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let memory = field(&memory, "MemTotal").trim_end_matches("kB").trim();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: field(&cpu, "model name").to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            disk: file_system(&read("/proc/self/mounts"), folder),
            memory_mib: memory.parse::<u64>().unwrap_or(0) / 1024,
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "cores": self.cores,
            "cpu": self.cpu,
            "memory_mib": self.memory_mib,
            "kernel": self.kernel,
            "disk": self.disk,
            "profile": PROFILE,
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    /// In one line.
    pub(super) fn sentence(&self) -> String {
        format!(
            "{} cores of {}, {} MiB, Linux {}, data on {}, {PROFILE} build of tidings {}",
            self.cores,
            self.cpu,
            self.memory_mib,
            self.kernel,
            self.disk,
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// Whether the data lies in memory, where nothing is durable.
    pub(super) fn in_memory(&self) -> bool {
        matches!(self.disk.as_str(), "tmpfs" | "ramfs")
    }
}

/// The value of `name : value` in the form of /proc.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or("", |(_, value)| value.trim())
}

/// The kind of file system that holds `folder`: that of the longest mount point above it, the last one mounted there.
fn file_system(mounts: &str, folder: &Path) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(point, _)| folder.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map_or_else(
            || "an unknown file system".into(),
            |(_, kind)| kind.to_owned(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount_point() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n/dev/vdb /work xfs rw 0 0\n";
        for (folder, kind) in [
            ("/tmp/x", "ext4"),
            ("/dev/shm/x", "tmpfs"),
            ("/work/data", "xfs"),
            ("/workshop", "ext4"),
        ] {
            assert_eq!(file_system(mounts, Path::new(folder)), kind, "{folder}");
        }
    }
}
