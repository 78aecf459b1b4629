//! The exit statuses, and which error means which: 0 good, 1 the thing is bad, 2 usage,
//! 3 not reachable.

use std::error::Error;
use std::io;

use anyhow::Context;
use flist::build::BuildError;
use flist::fs::FsError;
use flist::store::{FetchError, LoadError, StoreError};

/// The thing is bad: verification failed, trees differ, a file can't be read.
pub(crate) const BAD: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// A server or mirror can't be reached.
pub(crate) const UNREACHABLE: u8 = 3;

/// What was to be done when writing the answer failed.
pub(crate) const STDOUT: &str = "can't write to standard output";

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
    let said = Some(format!("zimg: {}", sentence(error)));
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
        if cause.downcast_ref().is_some_and(reader_gone) {
            return (0, None);
        }
    }
    (BAD, said)
}

/// The chain of causes. Some name theirs already: that is not said twice.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| {
        match (said.is_empty(), said.contains(&cause)) {
            (true, _) => cause,
            (false, true) => said,
            (false, false) => format!("{said}: {cause}"),
        }
    })
}

/// Whether the reader of our output has gone, as `head` does: nothing is wrong.
pub(crate) fn reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// What a command returns whose answer is `good` or not, once that was written: where nobody reads
/// it to the end it is the same answer.
pub(crate) fn answer(good: bool, written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if good || !reader_gone(&error) => Err(error).context(STDOUT),
        _ if good => Ok(()),
        _ => Err(Silent(BAD).into()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error(kind: io::ErrorKind) -> io::Error {
        io::Error::from(kind)
    }

    #[test]
    fn no_cause_is_said_twice() {
        let full = io_error(io::ErrorKind::StorageFull);
        let error = anyhow::anyhow!("b: {full}").context("a");
        let doubled = anyhow::Error::new(full).context(format!("{error:#}"));
        assert_eq!(sentence(&doubled), format!("{error:#}"));
        assert_eq!(sentence(&error), format!("{error:#}"));
    }

    #[test]
    fn a_bad_answer_stays_bad_when_its_reader_leaves() {
        let status = |good, written| answer(good, written).map_err(|e| verdict(&e).0).err();
        let gone = || Err(io_error(io::ErrorKind::BrokenPipe));
        assert_eq!(status(true, Ok(())), None);
        assert_eq!(status(false, Ok(())), Some(BAD));
        assert_eq!(status(true, gone()), Some(0));
        assert_eq!(status(false, gone()), Some(BAD));
        assert_eq!(status(true, Err(io_error(io::ErrorKind::StorageFull))), Some(BAD));
    }
}
