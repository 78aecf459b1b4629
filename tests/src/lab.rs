//! A network of one's own, and what is served in it. Nothing in it reaches the world, and no port
//! in it is taken.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::out;
use crate::root::run;

/// A network namespace that the calling thread, and all it starts, is in from now on.
pub struct Lab {
    name: String,
}

impl Lab {
    /// Makes one with its loopback interface up, and moves the calling thread into it.
    ///
    /// # Errors
    /// When the user is not root.
    pub fn enter() -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zimg-{}-{count}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name])).context("this needs root")?;
        let lab = Self { name };
        run(Command::new("ip").args(["-n", &lab.name, "link", "set", "lo", "up"]))?;
        let namespace = File::open(Path::new("/run/netns").join(&lab.name))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(lab)
    }

    /// Its name for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // What fails here leaves a name behind and harms nobody.
        let _ = run(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

/// A running `zimg serve`; killed when dropped.
pub struct Server {
    child: Child,
    log: File,
    /// What a node boots from: URL of the first flist found, and its root hash.
    pub arguments: String,
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Server {
    /// Serves `dir` at `listen`.
    ///
    /// # Errors
    /// When it does not start, or `dir` holds no flist.
    pub fn start(dir: &Path, listen: &str) -> anyhow::Result<Self> {
        let log = tempfile::tempfile()?;
        let mut child = Command::new(out::built("zimg")?)
            .args(["serve", "--listen", listen])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .spawn()?;
        let stdout = child.stdout.take().context("zimg serve has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = lines.next().context("zimg serve printed nothing")??;
        let url = url.trim_end_matches('/').to_string();
        let mut server = Self { child, log, arguments: String::new(), url };
        for line in lines.by_ref() {
            let line = line?;
            if let Some(at) = line.find("zimg.url=") {
                server.arguments = line[at..].to_string();
                break;
            }
        }
        Ok(server)
    }

    /// The kernel arguments that boot `flist`, which it serves, as a guest of qemu's user network sees
    /// the host.
    ///
    /// # Errors
    /// When `flist` can't be read.
    pub fn arguments_of(&self, flist: &Path) -> anyhow::Result<String> {
        let hash = flist::id::RootHash::of(&std::fs::read(flist)?);
        let port = self.url.rsplit(':').next().context("a port")?;
        let name = flist.file_name().context("a file")?.to_string_lossy();
        Ok(format!("zimg.url=http://10.0.2.2:{port}/{name} zimg.hash={hash}"))
    }

    /// How many requests it has answered so far, and how many bytes of bodies it sent: from its
    /// access log.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn served(&self) -> anyhow::Result<(u64, u64)> {
        let asked = self.asked()?;
        Ok((u64::try_from(asked.len())?, asked.iter().map(|asked| asked.bytes).sum()))
    }

    /// What it was asked for so far, in the order in which it had answered: from the same.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn asked(&self) -> anyhow::Result<Vec<Asked>> {
        let mut text = vec![0; usize::try_from(self.log.metadata()?.len())?];
        self.log.read_exact_at(&mut text, 0)?;
        Ok(String::from_utf8_lossy(&text).lines().filter_map(Asked::read).collect())
    }
}

/// What a server was asked for, and what it answered.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Address and port of who asked: one connection.
    pub peer: String,
    /// GET or HEAD.
    pub method: String,
    /// Below the server's root.
    pub path: String,
    /// The header's value, where there was one.
    pub range: Option<String>,
    /// The answer's status.
    pub status: String,
    /// How long its body was.
    pub bytes: u64,
}

impl Asked {
    /// A line of the access log: `TIME PEER METHOD PATH RANGE STATUS BYTES TIMEms`; none of another.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut next = || words.next().map(str::to_owned);
        let (_time, peer, method, path) = (next()?, next()?, next()?, next()?);
        let range = Some(words.next()?).filter(|&range| range != "-").map(str::to_owned);
        let (status, bytes) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        words.next()?.ends_with("ms").then_some(Self { peer, method, path, range, status, bytes })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a server that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
