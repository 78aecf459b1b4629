//! Small files: read whole, and written so that they appear whole under their name or not at all.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// For everyone to read, as far as the umask lets.
pub(crate) const PUBLIC: u32 = 0o666;
/// For the owner alone.
pub(crate) const PRIVATE: u32 = 0o600;

/// All bytes of the file `path`.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// The path whose name has `suffix` more.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes `bytes` to the file `path`, in the place of what is there.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let land = || {
        let mut builder = tempfile::Builder::new();
        let permissions = Permissions::from_mode(mode);
        let mut file = builder.prefix(".zimg-").permissions(permissions).tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        anyhow::Ok(())
    };
    land().with_context(|| format!("can't write {}", path.display()))
}
