//! The exit statuses, and which error means which: 0 good, 1 the thing is bad, 2 usage,
//! 3 not reachable.

use std::error::Error;
use std::io;

use flist::build::BuildError;
use flist::fs::FsError;
use flist::store::{FetchError, LoadError, StoreError};

/// The thing is bad: verification failed, trees differ, a file can't be read.
pub(crate) const BAD: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// A server or mirror can't be reached.
pub(crate) const UNREACHABLE: u8 = 3;

/// All has been said already; the process only returns this status.
#[derive(Debug, thiserror::Error)]
#[error("exit status {0}")]
pub(crate) struct Silent(pub(crate) u8);

/// The command line asks for what makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// What the process says and returns for `error`: the message, if there is something left to say.
pub(crate) fn verdict(error: &anyhow::Error) -> (u8, Option<String>) {
    let said = Some(format!("zimg: {error:#}"));
    for cause in error.chain() {
        if let Some(Silent(status)) = cause.downcast_ref() {
            return (*status, None);
        }
        if cause.is::<Usage>() || cause.downcast_ref().is_some_and(is_wrong_option) {
            return (USAGE, said);
        }
        if store_error(cause).is_some_and(out_of_reach) {
            return (UNREACHABLE, said);
        }
        // The reader of our output has gone, as `head` does: nothing is wrong.
        if cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        {
            return (0, None);
        }
    }
    (BAD, said)
}

/// Whether a build was refused for an option's value.
fn is_wrong_option(error: &BuildError) -> bool {
    matches!(error, BuildError::Level(_) | BuildError::ReservedKey(_))
}

/// The store's error in `cause`, if it is one.
fn store_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    if let Some(LoadError::Store { error, .. }) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(FsError::Lost { why, .. }) = cause.downcast_ref() {
        return store_error(why.reason());
    }
    if let Some(FetchError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    cause.downcast_ref()
}

/// Whether a store could not give what it should, rather than gave something bad.
pub(crate) fn out_of_reach(error: &StoreError) -> bool {
    match error {
        StoreError::Missing { .. } | StoreError::Unreachable { .. } | StoreError::Status { .. } => {
            true
        }
        StoreError::Protocol { .. } | StoreError::Io { .. } => false,
    }
}
