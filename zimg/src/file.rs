//! Small files that appear whole under their name or not at all.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

/// For everyone to read, as far as the umask lets.
pub(crate) const PUBLIC: u32 = 0o666;
/// For the owner alone.
pub(crate) const PRIVATE: u32 = 0o600;

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
