//! `zimg ls`: what an image holds, as `ls -lR` shows it or as JSON.

use std::io::{self, BufWriter, IsTerminal, Write};

use argh::FromArgs;
use flist::image::{Image, Ino, Inode, Kind};
use serde_json::{Value, json};

use crate::trust::demanding;
use crate::{exit, open, path, text};

demanding! {
/// List what an flist holds, with all below it.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "ls",
    example = "{command_name} debian.flist\n{command_name} http://10.0.0.1:8080/debian.flist /etc\n\
               {command_name} --json debian.flist | jq '.[] | select(.type == \"char\")'"
)]
pub(crate) struct Args {
    /// flist: a file or an http(s) URL
    #[argh(positional)]
    flist: String,
    /// path in the image (default: all of it)
    #[argh(positional, default = "String::from(\"/\")")]
    path: String,
    /// a JSON array, an entry a line
    #[argh(switch)]
    json: bool,
}
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let image = open::image(&args.flist, &args.trust())?.image;
    let start = path::resolve(&image, args.path.as_bytes())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let base = args.path.trim_matches('/').as_bytes().to_vec();
    let written = if args.json {
        write_json(&image, start, base, &mut out)
    } else {
        let raw = !io::stdout().is_terminal();
        Lister { image: &image, raw, out: &mut out }.list(start, base)
    };
    exit::answer(true, written.and_then(|()| out.flush()))
}

struct Lister<'a, W> {
    image: &'a Image,
    /// Names as they are, not made safe for a terminal.
    raw: bool,
    out: &'a mut W,
}

impl<W: Write> Lister<'_, W> {
    fn list(&mut self, start: Ino, base: Vec<u8>) -> io::Result<()> {
        if self.image.entries(start).is_none() {
            return self.line(start, &base);
        }
        let mut first = true;
        path::walk_directories(self.image, start, base, &mut |dir, path| {
            if !std::mem::take(&mut first) {
                writeln!(self.out)?;
            }
            self.out.write_all(b"/")?;
            self.name(path)?;
            writeln!(self.out, ":")?;
            for entry in self.image.entries(dir).unwrap_or_default() {
                self.line(entry.ino, self.image.name(entry))?;
            }
            Ok(())
        })
    }

    fn line(&mut self, ino: Ino, name: &[u8]) -> io::Result<()> {
        let Some(inode) = self.image.inode(ino) else { return Ok(()) };
        let size = match inode.kind {
            Kind::Char(d) | Kind::Block(d) => format!("{}, {}", d.major, d.minor),
            _ => self.image.size(ino).to_string(),
        };
        let plus = if self.image.xattrs(ino).is_empty() { ' ' } else { '+' };
        write!(
            self.out,
            "{}{plus} {:>3} {:>5} {:>5} {size:>10} {} ",
            text::mode(inode.mode),
            self.image.nlink(ino),
            inode.uid,
            inode.gid,
            text::time(inode.mtime),
        )?;
        self.name(name)?;
        if let Some(target) = self.image.target(ino) {
            self.out.write_all(b" -> ")?;
            self.name(target)?;
        }
        writeln!(self.out)
    }

    fn name(&mut self, name: &[u8]) -> io::Result<()> {
        if self.raw {
            self.out.write_all(name)
        } else {
            self.out.write_all(text::escaped(name).as_bytes())
        }
    }
}

fn write_json(image: &Image, start: Ino, base: Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    write!(out, "[\n{}", entry(image, start, &base))?;
    path::walk_directories(image, start, base, &mut |dir, path| -> io::Result<()> {
        for dirent in image.entries(dir).unwrap_or_default() {
            let path = path::join(path, image.name(dirent));
            write!(out, ",\n{}", entry(image, dirent.ino, &path))?;
        }
        Ok(())
    })?;
    writeln!(out, "\n]")
}

/// One entry as JSON: `path` where it is UTF-8, else `path_hex`; the same for targets and xattrs.
fn entry(image: &Image, ino: Ino, path: &[u8]) -> Value {
    let Some(inode) = image.inode(ino) else { return Value::Null };
    let mut value = json!({
        "ino": ino,
        "type": kind(inode),
        "mode": format!("{:04o}", inode.mode & 0o7777),
        "uid": inode.uid,
        "gid": inode.gid,
        "nlink": image.nlink(ino),
        "size": image.size(ino),
        "mtime": inode.mtime.sec,
        "mtime_nsec": inode.mtime.nsec,
    });
    put_bytes(&mut value, "path", &[b"/", path].concat());
    if let Some(btime) = image.btime(ino) {
        value["btime"] = json!(btime.sec);
        value["btime_nsec"] = json!(btime.nsec);
    }
    if let Some(target) = image.target(ino) {
        put_bytes(&mut value, "target", target);
    }
    if let Kind::Char(device) | Kind::Block(device) = inode.kind {
        value["major"] = json!(device.major);
        value["minor"] = json!(device.minor);
    }
    if let Kind::File { .. } = inode.kind {
        value["data"] = json!(image.data_len(ino));
    }
    let xattrs = image.xattrs(ino);
    if !xattrs.is_empty() {
        value["xattrs"] = xattrs
            .iter()
            .map(|(name, data)| {
                let mut pair = json!({});
                put_bytes(&mut pair, "name", name);
                put_bytes(&mut pair, "value", data);
                pair
            })
            .collect();
    }
    value
}

/// The inode's type in a word.
pub(crate) fn kind(inode: &Inode) -> &'static str {
    match inode.kind {
        Kind::Directory { .. } => "directory",
        Kind::File { .. } => "file",
        Kind::Symlink { .. } => "symlink",
        Kind::Char(_) => "char",
        Kind::Block(_) => "block",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    }
}

/// Notes bytes under `key` where they are UTF-8, else in hexadecimal under `key_hex`.
pub(crate) fn put_bytes(value: &mut Value, key: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => value[key] = json!(text),
        Err(_) => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            value[format!("{key}_hex")] = json!(hex);
        }
    }
}
