//! The process itself: `process_*`, and the `jvm_*` names that dashboards ask for, with the values of this process.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::registry::Source;
use crate::snapshot::{Group, Snapshot};

/// Ticks per second of the times in `/proc`, which Linux has fixed at 100 for programs.
const TICKS: f64 = 100.0;

/// Measures this process from `/proc`; what can't be read is left out.
#[derive(Debug)]
pub struct Process {
    started_ms: f64,
    version: &'static str,
    commit: &'static str,
    client_id: String,
}

impl Process {
    /// Since now. Version and commit are those that the worker shows, `client_id` the name of its clients.
    pub fn new(version: &'static str, commit: &'static str, client_id: impl Into<String>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_ms: now.as_millis() as f64, version, commit, client_id: client_id.into() }
    }
}

impl Source for Process {
    fn read(&self, _now_ms: i64, out: &mut Snapshot) {
        let tags = [("client-id", self.client_id.as_str())];
        out.group(Group::connect("app-info"), &tags)
            .text("version", self.version)
            .text("commit-id", self.commit)
            .gauge("start-time-ms", self.started_ms);
        let stat = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
        let group = out.group(PROCESS, &[]);
        group.gauge("process_start_time_seconds", self.started_ms / 1000.0);
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            // The directory that is being read is open, too.
            group.gauge("process_open_fds", files.count().saturating_sub(1) as f64);
        }
        let limit = std::fs::read_to_string("/proc/self/limits").ok().and_then(|text| open_files(&text));
        if let Some(limit) = limit {
            group.gauge("process_max_fds", limit);
        }
        let resident = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| resident_bytes(&text));
        let (Some(stat), Some(resident)) = (stat, resident) else { return };
        group.values.push(("process_cpu_seconds_total", crate::Value::Count(stat.cpu_seconds)));
        group.gauge("process_resident_memory_bytes", resident);
        group.gauge("process_virtual_memory_bytes", stat.virtual_bytes);
        group.gauge("jvm_threads_current", stat.threads);
        jvm(out, resident);
    }
}

const PROCESS: Group = Group { domain: "process", kind: "process" };

fn jvm(out: &mut Snapshot, resident: f64) {
    let most = memory_limit().unwrap_or(-1.0);
    for (area, used) in [("heap", resident), ("nonheap", 0.0)] {
        let most = if area == "heap" { most } else { -1.0 };
        out.group(PROCESS, &[("area", area)])
            .gauge("jvm_memory_used_bytes", used)
            .gauge("jvm_memory_bytes_used", used)
            .gauge("jvm_memory_committed_bytes", used)
            .gauge("jvm_memory_bytes_committed", used)
            .gauge("jvm_memory_max_bytes", most)
            .gauge("jvm_memory_bytes_max", most);
    }
    out.group(PROCESS, &[("gc", "none")])
        .gauge("jvm_gc_collection_seconds_sum", 0.0)
        .gauge("jvm_gc_collection_seconds_count", 0.0);
}

/// What the process may use: the limit of its container, or the machine's memory.
fn memory_limit() -> Option<f64> {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    group.or_else(|| {
        let info = std::fs::read_to_string("/proc/meminfo").ok()?;
        let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kilobytes: f64 = total.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kilobytes * 1024.0)
    })
}

fn open_files(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn resident_bytes(status: &str) -> Option<f64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kilobytes.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? * 1024.0)
}

struct Stat {
    cpu_seconds: f64,
    threads: f64,
    virtual_bytes: f64,
}

impl Stat {
    /// Reads `/proc/self/stat`. The name in it may hold spaces and brackets: fields are counted from its last bracket.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<f64> = rest.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        // The first of these is field 3 of the manual page.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self { cpu_seconds: (field(14)? + field(15)?) / TICKS, threads: field(20)?, virtual_bytes: field(23)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read() {
        let line = "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 7 0 99 4096000 10 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.cpu_seconds, stat.threads), (2.0, 7.0));
        assert_eq!((stat.virtual_bytes, resident_bytes("Name: a\nVmRSS:\t   40 kB\n")), (4_096_000.0, Some(40_960.0)));
        assert!(Stat::parse("").is_none());
        let limits = "Limit Soft Hard Units\nMax open files            1024  4096 files\n";
        assert_eq!(open_files(limits), Some(1024.0));
    }

    #[test]
    fn this_process_has_memory_and_threads() {
        let mut snapshot = Snapshot::default();
        Process::new("1", "2", "me").read(0, &mut snapshot);
        let all: Vec<_> = snapshot.groups().iter().flat_map(|group| &group.values).collect();
        let value = |name: &str| all.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone());
        assert!(matches!(value("jvm_threads_current"), Some(crate::Value::Gauge(n)) if n >= 1.0));
        assert!(matches!(value("process_resident_memory_bytes"), Some(crate::Value::Gauge(n)) if n > 1e5));
    }
}
