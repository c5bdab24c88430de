//! A network of a test's own, in which replicas are cut off from their database as a broken network does it: packets are
//! dropped on their way there, on their way back, or both, and no end of a connection hears of it.
//!
//! The test starts itself again in a network namespace, where only its own loopback device is; the machine's network and
//! its filters are not touched. `root` needs nothing more for that, others need user namespaces.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tells a process that it is in a network of its own.
const APART: &str = "NIGHTBELL_TEST_APART";

/// What passes between a replica and its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passes {
    pub(crate) there: bool,
    pub(crate) back: bool,
}

/// Whether this process is in a network of its own. If not, the test of this name is run in one, to its end.
pub(crate) fn is_apart(test: &str) -> bool {
    if std::env::var_os(APART).is_some() {
        return true;
    }
    let mut apart = Command::new("unshare");
    match std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) {
        0 => apart.arg("--net"),
        // Its own name stays, for PostgreSQL does not start as root.
        _ => apart.args(["--net", "--map-current-user", "--keep-caps"]),
    };
    apart.args(["sh", "-c", "ip link set lo up && exec \"$@\" 2>&1", "apart"]).arg(std::env::current_exe().unwrap());
    apart.args([test, "--exact", "--nocapture"]).env(APART, "1").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut apart = apart.spawn().expect("unshare is not installed");
    let mut has_passed = false;
    for line in BufReader::new(apart.stdout.take().unwrap()).lines().map_while(Result::ok) {
        has_passed |= line.contains("1 passed");
        println!("{line}");
    }
    assert!(apart.wait().unwrap().success() && has_passed, "{test} has not passed in a network of its own");
    false
}

/// The way of one replica to the database: an address of its own.
pub(crate) struct Way {
    number: usize,
    /// The server's.
    pub(crate) port: u16,
}

impl Way {
    /// The open way of replica `number` to the server at this port.
    pub(crate) fn to(number: usize, port: u16) -> Way {
        let way = Way { number, port };
        let rules =
            format!("add table inet night; add chain inet night way{number} {{ type filter hook output priority 0; }}");
        filter(&rules);
        way
    }

    /// The address of the server for this replica alone, and of the replica's own page.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.{}", 10 + self.number)
    }

    /// Lets this pass from now on.
    pub(crate) fn set(&self, passes: Passes) {
        let (number, host, port) = (self.number, self.host(), self.port);
        let mut rules = format!("flush chain inet night way{number}");
        if !passes.there {
            rules += &format!("; add rule inet night way{number} ip daddr {host} tcp dport {port} drop");
        }
        if !passes.back {
            rules += &format!("; add rule inet night way{number} ip saddr {host} tcp sport {port} drop");
        }
        filter(&rules);
    }

    /// Lets this pass for so long, and then everything again.
    pub(crate) fn let_pass(&self, passes: Passes, time: Duration) {
        self.set(passes);
        let way = Way { ..*self };
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            way.set(Passes { there: true, back: true });
        });
    }
}

fn filter(rules: &str) {
    let done = Command::new("nft").arg(rules).output().expect("nft is not installed: tests/setup.sh installs it");
    assert!(done.status.success(), "{rules}: {}", String::from_utf8_lossy(&done.stderr));
}
