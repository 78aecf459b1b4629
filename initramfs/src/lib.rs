//! Assembles zimg's initramfs: PID 1, kernel modules with all they depend on, configuration and
//! other files, as a zstd-compressed newc cpio. The same inputs give the same bytes.

mod archive;
mod compress;
mod decompress;
mod elf;
mod error;
mod kernel;
mod modinfo;
mod sbom;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use archive::Archive;
use elf::Elf;
pub use elf::ElfError;
pub use error::Error;
pub use kernel::VM_MODULES;
use kernel::{Chosen, Kernel};
use minisign_verify::PublicKey;
use sbom::About;

/// Directories that PID 1 mounts on or writes to.
const DIRS: [&str; 7] = ["dev", "etc/zimg", "proc", "run", "sys", "sysroot", "tmp"];

/// Nodes that the kernel and PID 1 need before devtmpfs is there.
const DEVICES: [(&str, u32, (u32, u32)); 3] =
    [("dev/console", 0o600, (5, 1)), ("dev/kmsg", 0o600, (1, 11)), ("dev/null", 0o666, (1, 3))];

/// What lies beside the program for /init, named as it is and this: the texts of its licences, which come
/// along, and its SBOM, which becomes part of the image's.
const LICENSES_BESIDE: &str = "licenses.txt";
const SBOM_BESIDE: &str = "cdx.json";

/// Where the texts of licences go.
const LICENSES: &str = "LICENSES.txt";

/// The first configuration file's number; the next ones count on.
const FIRST_CONFIG: usize = 10;

/// What an initramfs is to hold.
#[derive(Debug, Default)]
pub struct Plan {
    /// The program that becomes /init: a static ELF executable, or a script whose interpreter is
    /// in `add`.
    pub init: PathBuf,
    /// A kernel's modules, if any are wanted.
    pub kernel_modules: Option<PathBuf>,
    /// Modules by name.
    pub modules: Vec<String>,
    /// Whether the modules of [`VM_MODULES`] come along.
    pub vm_modules: bool,
    /// Files for /etc/zimg, in the order in which they are to be read.
    pub config: Vec<PathBuf>,
    /// Public keys of minisign, NAME.pub: only what one of them signed is then booted.
    pub keys: Vec<PathBuf>,
    /// Other files: where each is found, and its path in the initramfs.
    pub add: Vec<(PathBuf, String)>,
}

/// An initramfs, ready to be written.
#[derive(Debug)]
pub struct Initramfs {
    /// The image: one zstd frame.
    pub image: Vec<u8>,
    /// Length of the cpio archive in it.
    pub plain_len: usize,
    /// Its SBOM: CycloneDX, as JSON.
    pub sbom: String,
    /// Names of the modules it carries.
    pub modules: Vec<String>,
    /// Modules of the VM list that this kernel has in no form.
    pub absent: Vec<String>,
}

/// Assembles the initramfs that `plan` describes.
pub fn assemble(plan: &Plan) -> Result<Initramfs, Error> {
    let mut archive = Archive::new();
    for dir in DIRS {
        archive.dir(dir)?;
    }
    for (path, permissions, number) in DEVICES {
        archive.char_device(path, permissions, number)?;
    }
    for (number, file) in (FIRST_CONFIG..).zip(&plan.config) {
        archive.file(&config_path(number, file)?, 0o644, read(file)?)?;
    }
    for file in &plan.keys {
        archive.file(&key_path(file)?, 0o644, public_key(file)?)?;
    }
    for (file, path) in &plan.add {
        archive.file(path, permissions(file)?, read(file)?)?;
    }
    add_init(&mut archive, &plan.init)?;
    if let Some((_, text)) = beside(&plan.init, LICENSES_BESIDE)? {
        archive.file(LICENSES, 0o644, text)?;
    }
    let Added { names, absent, about } = match choose(plan)? {
        None => Added::default(),
        Some((kernel, chosen)) => add_modules(&mut archive, kernel.release(), chosen)?,
    };
    let plain = archive.to_newc()?;
    let image = compress::compress(&plain).map_err(Error::Compress)?;
    let program = beside(&plan.init, SBOM_BESIDE)?;
    let program = program.as_ref().map(|(path, text)| (path.as_path(), text.as_slice()));
    let sbom = sbom::sbom(&archive, &image, &about, program)?;
    Ok(Initramfs { image, plain_len: plain.len(), sbom, modules: names, absent })
}

/// Writes the image, or its SBOM, by a temporary file beside `path`: either all of it is there, or what was
/// there before.
pub fn write(image: &[u8], path: &Path) -> Result<(), Error> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let land = || {
        let mut file = tempfile::Builder::new()
            .prefix(".initramfs-")
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(dir)?;
        file.write_all(image)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    land().map_err(Error::writing(path))
}

fn choose(plan: &Plan) -> Result<Option<(Kernel, Chosen)>, Error> {
    if plan.modules.is_empty() && !plan.vm_modules {
        return Ok(None);
    }
    let kernel = Kernel::open(plan.kernel_modules.as_ref().ok_or(Error::NoKernel)?)?;
    let chosen = kernel.choose(&plan.modules, plan.vm_modules)?;
    Ok(Some((kernel, chosen)))
}

/// The modules that an archive holds.
#[derive(Default)]
struct Added {
    names: Vec<String>,
    /// Those that are asked for and that the kernel has in no form.
    absent: Vec<String>,
    /// What is known of them, by their paths from the root on.
    about: BTreeMap<String, About>,
}

/// Adds the modules and their index files.
fn add_modules(archive: &mut Archive, release: &str, chosen: Chosen) -> Result<Added, Error> {
    let base = format!("lib/modules/{release}");
    for (index, text) in [
        ("modules.alias", chosen.alias()),
        ("modules.dep", chosen.dep()),
        ("modules.softdep", chosen.softdep()),
    ] {
        archive.file(&format!("{base}/{index}"), 0o644, text.into_bytes())?;
    }
    let mut added = Added { absent: chosen.absent, ..Added::default() };
    for (name, module) in chosen.modules {
        let path = format!("{base}/{}", module.path);
        archive.file(&path, 0o644, module.data)?;
        let licence = module.info.licence;
        added.about.insert(format!("/{path}"), About { licence, release: release.to_owned() });
        added.names.push(name);
    }
    Ok(added)
}

/// The file beside `program` that is named as it is and `.`, `suffix`; `None` where there is none.
fn beside(program: &Path, suffix: &str) -> Result<Option<(PathBuf, Vec<u8>)>, Error> {
    let mut name = program.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    let path = program.with_file_name(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some((path, bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::reading(&path)(error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::reading(path))
}

/// A file anyone may execute stays so; nothing else of the build machine's modes is kept.
fn permissions(path: &Path) -> Result<u32, Error> {
    let mode = fs::metadata(path).map_err(Error::reading(path))?.permissions().mode();
    Ok(if mode & 0o111 == 0 { 0o644 } else { 0o755 })
}

/// Adds /init: a static program, or a script whose interpreter is among the files added.
fn add_init(archive: &mut Archive, path: &Path) -> Result<(), Error> {
    let program = read(path)?;
    let bad = |why: String| Err(Error::BadInit { path: path.to_owned(), why });
    if let Some(line) = program.strip_prefix(b"#!") {
        let line = String::from_utf8_lossy(line.split(|&byte| byte == b'\n').next().unwrap_or(&[]));
        let interpreter = line.split_whitespace().next().unwrap_or_default();
        if !archive.has_file(interpreter) {
            return bad(format!("its interpreter '{interpreter}' is not added, as by --add"));
        }
    } else {
        match Elf::new(&program).and_then(|elf| elf.is_dynamic()) {
            Ok(false) => {}
            Ok(true) => return bad("it needs a dynamic loader; build it for musl".to_owned()),
            Err(error) => return bad(error.to_string()),
        }
    }
    archive.file("init", 0o755, program)
}

fn config_path(number: usize, file: &Path) -> Result<String, Error> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).ok_or_else(|| Error::BadPath {
        path: file.display().to_string(),
        why: "names no configuration file",
    })?;
    Ok(format!("etc/zimg/{number}-{stem}.conf"))
}

/// The bytes of a public key's file, which it has been seen to be: a secret key would be everybody's,
/// and something else end each boot.
fn public_key(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let key = match lines.as_slice() {
        [comment, key] if comment.starts_with("untrusted comment:") => Some(*key),
        [key] => Some(*key),
        _ => None,
    };
    if key.is_some_and(|key| PublicKey::from_base64(key).is_ok()) {
        return Ok(bytes);
    }
    Err(Error::NotKey { path: path.to_owned() })
}

fn key_path(file: &Path) -> Result<String, Error> {
    let bad = || Error::BadPath { path: file.display().to_string(), why: "names no public key" };
    let stem = file.file_stem().and_then(|stem| stem.to_str()).ok_or_else(bad)?;
    Ok(format!("etc/zimg/keys/{stem}.pub"))
}

/// The lines as one text, each with its newline.
pub(crate) fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}
