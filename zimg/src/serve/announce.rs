//! What the user reads first: the URLs, and for each flist the kernel arguments that boot it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flist::id::RootHash;

use super::percent;

/// Directories beneath the served one that are searched for flists.
const MAX_DEPTH: usize = 4;
/// Names looked at, so that serving `/` starts all the same.
const MAX_NAMES: usize = 100_000;

/// This machine, as a qemu guest on qemu's user network sees it, loopback and all.
const QEMU_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// An flist beneath the served directory.
struct Held {
    /// Relative to the served directory.
    path: PathBuf,
    hash: RootHash,
}

/// Prints the URLs (the first line is one, for programs) and the flists of `dir`.
pub(super) fn print(
    out: &mut impl Write,
    dir: &Path,
    local: SocketAddr,
    reachable: &[SocketAddr],
) -> io::Result<()> {
    for address in reachable {
        writeln!(out, "http://{address}/")?;
    }
    // Whoever waits for the URL need not wait for the hashes.
    out.flush()?;
    if local.ip().is_loopback() {
        writeln!(
            out,
            "Only this machine and its qemu guests reach that (it is {QEMU_HOST} on qemu's user \
             network); for other machines: --listen 0.0.0.0:{}",
            local.port()
        )?;
    }
    let held = find(dir);
    if held.is_empty() {
        writeln!(out, "No flist here yet: zimg build SOURCE {}/NAME.flist", dir.display())?;
    }
    let address = booting(local, reachable);
    for flist in &held {
        let path = percent::encode(flist.path.as_os_str().as_bytes());
        writeln!(out, "\n{}", flist.path.display())?;
        writeln!(out, "    zimg.url=http://{address}/{path} zimg.hash={}", flist.hash)?;
    }
    out.flush()
}

/// The address that a booting machine reaches; no other machine reaches a loopback address.
fn booting(local: SocketAddr, reachable: &[SocketAddr]) -> SocketAddr {
    let other = reachable.iter().find(|address| !address.ip().is_loopback());
    other.copied().unwrap_or_else(|| SocketAddr::new(QEMU_HOST.into(), local.port()))
}

/// The flists beneath `dir`, in order; what can't be read is told on stderr and passed over.
fn find(dir: &Path) -> Vec<Held> {
    let mut names = MAX_NAMES;
    let mut paths = Vec::new();
    walk(dir, MAX_DEPTH, &mut names, &mut paths);
    paths.sort();
    let hashed = |path: PathBuf| match hash(&path) {
        Ok(hash) => {
            let path = path.strip_prefix(dir).map_or(path.clone(), Path::to_path_buf);
            Some(Held { path, hash })
        }
        Err(error) => {
            complain(&path, &error);
            None
        }
    };
    paths.into_iter().filter_map(hashed).collect()
}

fn walk(dir: &Path, depth: usize, names: &mut usize, found: &mut Vec<PathBuf>) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return complain(dir, &error),
    };
    for entry in entries.map_while(Result::ok) {
        let Some(left) = names.checked_sub(1) else { return };
        *names = left;
        let path = entry.path();
        let kind = entry.file_type();
        let directory = kind.as_ref().is_ok_and(fs::FileType::is_dir);
        if directory && depth > 1 && entry.file_name() != "packs" {
            walk(&path, depth - 1, names, found);
        } else if path.extension().is_some_and(|e| e == "flist") && path.is_file() {
            found.push(path);
        }
    }
}

fn hash(path: &Path) -> io::Result<RootHash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().into())
}

fn complain(path: &Path, error: &io::Error) {
    // Where stderr can't be written there is nobody to tell; serving goes on.
    let _ = writeln!(io::stderr().lock(), "zimg: {}: {error}", path.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flist_with_its_arguments() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sub/packs")).unwrap();
        fs::write(dir.path().join("a b.flist"), b"one").unwrap();
        fs::write(dir.path().join("sub/c.flist"), b"two").unwrap();
        fs::write(dir.path().join("sub/packs/d.flist"), b"a pack").unwrap();
        fs::write(dir.path().join("e.txt"), b"no flist").unwrap();
        let mut out = Vec::new();
        let local = "0.0.0.0:80".parse().unwrap();
        let reachable = ["10.0.0.1:80".parse().unwrap(), "127.0.0.1:80".parse().unwrap()];
        print(&mut out, dir.path(), local, &reachable).unwrap();
        let expected = format!(
            "http://10.0.0.1:80/\nhttp://127.0.0.1:80/\n\
             \na b.flist\n    zimg.url=http://10.0.0.1:80/a%20b.flist zimg.hash={}\n\
             \nsub/c.flist\n    zimg.url=http://10.0.0.1:80/sub/c.flist zimg.hash={}\n",
            RootHash::of(b"one"),
            RootHash::of(b"two")
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn loopback_is_for_guests_of_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.flist"), b"one").unwrap();
        let mut out = Vec::new();
        let local = "127.0.0.1:80".parse().unwrap();
        print(&mut out, dir.path(), local, &[local]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("zimg.url=http://10.0.2.2:80/x.flist "), "{text}");
        assert!(text.contains("--listen 0.0.0.0:80\n"), "{text}");
    }

    #[test]
    fn none_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        let local = "127.0.0.1:80".parse().unwrap();
        print(&mut out, dir.path(), local, &[local]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("No flist here yet"), "{text}");
    }
}
