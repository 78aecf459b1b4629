//! The code of the workspace, for tests that read it.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The files of Rust below these folders of the workspace.
pub(crate) fn below(rooms: &[&str]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = rooms.iter().map(|room| workspace().join(room)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    found
}
