//! Why an initramfs could not be assembled, in words that name the file at fault.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::elf::ElfError;

/// Why an initramfs could not be assembled.
#[derive(Debug, Error)]
pub enum Error {
    /// An input could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The image could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The image's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The compressor failed.
    #[error("cannot compress the archive: {0}")]
    Compress(#[source] io::Error),
    /// The program for /init is none that a kernel could start.
    #[error("{} cannot be /init: {why}", path.display())]
    BadInit {
        /// The program's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What lies beside the program for /init is no SBOM of it.
    #[error(
        "{} is no CycloneDX SBOM with a component, components and dependencies: `notices` writes one",
        path.display()
    )]
    BadSbom {
        /// The file.
        path: PathBuf,
    },
    /// The file for --key is none.
    #[error(
        "{} is no public key of minisign: name the NAME.pub that `zimg keygen` or `minisign -G` wrote",
        path.display()
    )]
    NotKey {
        /// The file.
        path: PathBuf,
    },
    /// A path inside of the initramfs that cannot be.
    #[error("cannot place a file at '{path}' in the initramfs: the path {why}")]
    BadPath {
        /// The path asked for.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two files for one path.
    #[error("cannot place a file at '{path}' in the initramfs: something else is there already")]
    Taken {
        /// The path asked for.
        path: String,
    },
    /// The newc format has 32 bits for a size.
    #[error("'{path}' is larger than the 4 GiB that an initramfs can hold in one file")]
    TooLarge {
        /// The file's path inside of the initramfs.
        path: String,
    },
    /// Modules were asked for, but no kernel was named.
    #[error("modules need --kernel-modules DIR (as /lib/modules/RELEASE); or say --modules none")]
    NoKernel,
    /// The directory is none of a kernel's modules.
    #[error(
        "{} holds no kernel modules; name the directory lib/modules/RELEASE itself",
        dir.display()
    )]
    NoModules {
        /// The directory named.
        dir: PathBuf,
    },
    /// A module that the kernel has in no form.
    #[error(
        "no kernel module '{name}' in {}, nor is it built in{}", dir.display(),
        needed_by.as_ref().map(|by| format!(" (module '{by}' needs it)")).unwrap_or_default()
    )]
    NoModule {
        /// The module's name.
        name: String,
        /// The directory searched.
        dir: PathBuf,
        /// The module that depends on it, if it was not asked for.
        needed_by: Option<String>,
    },
    /// A module's file that is not one.
    #[error("{} is no kernel module: {source}", path.display())]
    NotModule {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ElfError,
    },
    /// A module built for another kernel than its directory's name says.
    #[error(
        "{} is for kernel '{release}', which is not the name of its lib/modules directory",
        path.display()
    )]
    OtherKernel {
        /// The module's file.
        path: PathBuf,
        /// The release that it was built for.
        release: String,
    },
}

impl Error {
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Read { path: path.to_owned(), source }
    }

    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Write { path: path.to_owned(), source }
    }
}
