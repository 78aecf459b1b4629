//! A thousand nodes that boot at once from one server: each asks for what a real boot asked for, over
//! as many connections, in the same order. And what a cache in front of the server, a real nginx, takes
//! from it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::lab::{Asked, Server};
use tests::root::run as must;
use tests::wire::SERVER;

use crate::Bench;
use crate::boot::boot_from;
use crate::program::{unpacked, until_it_listens};
use crate::report::{Report, megabytes};
use crate::shop::{PROFILED, Shop};

/// How many nodes boot at once.
const NODES: usize = 1000;

/// Where nginx listens.
const CACHE: &str = "127.0.0.1:8081";

pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("A thousand nodes at once");
    let dir = bench.scratch.path().join("herd");
    fs::create_dir(&dir)?;
    let shop = Shop::open(bench, &dir)?;
    let before = shop.server.asked()?.len();
    let (_, (requests, _)) = boot_from(&shop.machine(PROFILED, "")?, &shop.server)?;
    let mut asked = shop.server.asked()?.split_off(before);
    // What came after multi-user is no part of the boot.
    asked.truncate(usize::try_from(requests)?);
    report.fact("requests of one boot by its profile", asked.len().to_string());
    let direct = herd(&asked, &format!("{SERVER}:8080"), &shop.server)?;
    let nginx = Nginx::start(bench.scratch.path())?;
    let cached = herd(&asked, CACHE, &shop.server)?;
    drop(nginx);
    for (what, herd) in [("`zimg serve`", &direct), ("nginx in front of it, empty before", &cached)]
    {
        let Herd { time, bytes, origin: (requests, sent), .. } = herd;
        report.fact(
            &format!("{NODES} nodes from {what}: all are served within"),
            format!("{:.1} s, {} in all", time.as_secs_f64(), megabytes(*bytes)),
        );
        report.fact(
            "of which `zimg serve` answered",
            format!("{requests} requests, {}", megabytes(*sent)),
        );
    }
    Ok(())
}

/// What a herd took.
struct Herd {
    time: Duration,
    /// What all nodes were sent.
    bytes: u64,
    /// Requests and bytes that came from the origin.
    origin: (u64, u64),
}

/// Has all nodes ask `address` for what one asked.
fn herd(asked: &[Asked], address: &str, origin: &Server) -> anyhow::Result<Herd> {
    let before = origin.served()?;
    let begin = Arc::new(Barrier::new(NODES + 1));
    let (time, bytes) = thread::scope(|scope| {
        let nodes: Vec<_> = (0..NODES)
            .map(|_| {
                let begin = Arc::clone(&begin);
                thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, move || {
                    begin.wait();
                    node(asked, address)
                })
            })
            .collect::<Result<_, _>>()?;
        begin.wait();
        let start = Instant::now();
        let mut bytes = 0;
        for node in nodes {
            bytes += node.join().ok().context("a node panicked")??;
        }
        anyhow::Ok((start.elapsed(), bytes))
    })?;
    let after = origin.served()?;
    Ok(Herd { time, bytes, origin: (after.0 - before.0, after.1 - before.1) })
}

/// One node's requests, one after another, each over the connection that the recorded one went over.
/// Returns how many bytes came.
fn node(asked: &[Asked], address: &str) -> anyhow::Result<u64> {
    let mut connections: BTreeMap<&str, BufReader<TcpStream>> = BTreeMap::new();
    let mut piece = vec![0; 64 << 10];
    let mut sum = 0;
    for Asked { peer, method, path, range, status, bytes } in asked {
        let connection = match connections.entry(peer) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(BufReader::new(TcpStream::connect(address)?))
            }
        };
        let range = range.as_ref().map_or_else(String::new, |range| format!("Range: {range}\r\n"));
        write!(connection.get_mut(), "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{range}\r\n")?;
        let told = answer(connection, path, status)?;
        let mut left = if method == "HEAD" { 0 } else { told };
        ensure!(left == *bytes, "{path}: {left} bytes instead of {bytes}");
        sum += left;
        while left > 0 {
            let want = usize::try_from(left)?.min(piece.len());
            let got = connection.read(piece.get_mut(..want).context("a piece")?)?;
            ensure!(got > 0, "{path}: {left} bytes are missing");
            left -= got as u64;
        }
    }
    Ok(sum)
}

/// Reads the head of an answer, which must have `status`. Returns how many bytes follow.
fn answer(connection: &mut BufReader<TcpStream>, path: &str, status: &str) -> anyhow::Result<u64> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    ensure!(line.split(' ').nth(1) == Some(status), "{path}: {line:?}");
    let mut length = None;
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = Some(value.trim().parse()?);
            }
            Some(_) => {}
            None => return length.with_context(|| format!("{path}: no length")),
        }
    }
}

/// nginx as a cache of slices; ended when dropped.
struct Nginx(Child);

impl Nginx {
    fn start(scratch: &Path) -> anyhow::Result<Self> {
        let program = unpacked("nginx", &["nginx", "nginx-common"])?.join("usr/sbin/nginx");
        let dir = scratch.join("nginx");
        fs::create_dir_all(&dir)?;
        let conf = dir.join("conf");
        fs::write(
            &conf,
            CONF.replace("DIR", &dir.display().to_string()).replace("SERVER", SERVER),
        )?;
        let mut nginx = Command::new(program);
        let child = nginx.arg("-c").arg(&conf).arg("-e").arg(dir.join("errors")).spawn()?;
        let mut nginx = Self(child);
        until_it_listens(&mut nginx.0, "nginx", CACHE)?;
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It ends its workers when told to; a kill would leave them.
        let _ = must(Command::new("kill").arg(self.0.id().to_string()));
        let _ = self.0.wait();
    }
}

const CONF: &str = "daemon off; user root; worker_processes 2; worker_rlimit_nofile 20000;
pid DIR/pid;
events { worker_connections 16000; }
http {
    access_log off;
    client_body_temp_path DIR/body; fastcgi_temp_path DIR/fastcgi; proxy_temp_path DIR/proxy;
    scgi_temp_path DIR/scgi; uwsgi_temp_path DIR/uwsgi;
    proxy_cache_path DIR/cache keys_zone=packs:16m max_size=2g use_temp_path=off;
    server {
        listen 127.0.0.1:8081 backlog=4096;
        location / {
            slice 1m;
            proxy_set_header Range $slice_range;
            proxy_cache packs;
            proxy_cache_key $uri$slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_cache_lock on;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_pass http://SERVER:8080;
        }
    }
}
";
