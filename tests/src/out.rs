//! What `scripts/build` leaves in `out/`.

use std::path::{Path, PathBuf};

use anyhow::ensure;

/// The workspace.
pub fn workspace() -> &'static Path {
    // This crate lies directly in it.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A file that `scripts/build` makes.
///
/// # Errors
/// When it is not there.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let path = workspace().join("out").join(name);
    ensure!(path.exists(), "{} is missing: run scripts/build", path.display());
    Ok(path)
}

/// Where kernels and roots are kept between runs, `~/.cache/zimg`. Never needed: what is not
/// there is made again.
///
/// # Errors
/// When it can't be made.
pub fn cache() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    let dir = home.join(".cache/zimg");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
