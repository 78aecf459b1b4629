//! A boot that failed: at which stage, what went wrong, what was tried, how to fix it.

use crate::config::ConfigError;
use std::fmt;

/// The stages of a boot, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Mounting /dev, /proc, /sys and /run.
    Start,
    /// Reading what is asked for.
    Configuration,
    /// Loading kernel modules.
    Modules,
    /// Starting the root daemon.
    Daemon,
    /// A link and an address.
    Network,
    /// Fetching and verifying the flist.
    Flist,
    /// Asking the stores for the image's contents.
    Store,
    /// Mounting the image.
    Mount,
    /// Laying the writable layer over it.
    Overlay,
    /// Telling the booted system of the network.
    Handover,
    /// Becoming the booted system's init.
    Init,
    /// Anywhere: a program error.
    Defect,
}

impl Stage {
    /// Every stage, in order.
    pub(crate) const ALL: [Self; 12] = [
        Self::Start,
        Self::Configuration,
        Self::Modules,
        Self::Daemon,
        Self::Network,
        Self::Flist,
        Self::Store,
        Self::Mount,
        Self::Overlay,
        Self::Handover,
        Self::Init,
        Self::Defect,
    ];

    /// Whether drivers have been looked for by then, so that it tells something which interfaces
    /// there are.
    pub(crate) fn has_drivers(self) -> bool {
        !matches!(self, Self::Start | Self::Configuration | Self::Modules)
    }

    /// Whether a module that is missing may be why it failed.
    pub(crate) fn needs_modules(self) -> bool {
        matches!(self, Self::Network | Self::Mount | Self::Overlay)
    }

    /// Its name on the screen and between the processes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Configuration => "configuration",
            Self::Modules => "modules",
            Self::Daemon => "root daemon",
            Self::Network => "network",
            Self::Flist => "flist",
            Self::Store => "store",
            Self::Mount => "mount",
            Self::Overlay => "overlay",
            Self::Handover => "handover",
            Self::Init => "init",
            Self::Defect => "a defect of zimg",
        }
    }

    /// The stage of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One line of what was tried: a label and what it stands for.
pub(crate) type Fact = (String, String);

/// Why the boot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Where.
    pub(crate) stage: Stage,
    /// What went wrong, in one line, causes last.
    pub(crate) what: String,
    /// What was tried: address, URL, answer, ...
    pub(crate) facts: Vec<Fact>,
    /// The interfaces, a line each, as the root daemon saw them; empty if it did not look.
    pub(crate) nics: Vec<String>,
    /// What to do about it.
    pub(crate) fix: String,
}

impl Failure {
    /// A failure of which nothing more is known.
    pub(crate) fn new(stage: Stage, what: impl fmt::Display, fix: impl Into<String>) -> Self {
        let (facts, nics) = (Vec::new(), Vec::new());
        Self { stage, what: what.to_string(), facts, nics, fix: fix.into() }
    }

    /// The same, with one more thing that was tried.
    pub(crate) fn fact(mut self, label: &str, value: impl fmt::Display) -> Self {
        self.facts.push((label.to_owned(), value.to_string()));
        self
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Stage::Configuration, &error, error.fix())
    }
}

/// `error` with all that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !line.contains(&cause_text) {
            line = format!("{line}: {cause_text}");
        }
        source = cause.source();
    }
    line
}

/// Turns an error into a [`Failure`] at the place that knows its stage.
pub(crate) trait OrFail<T> {
    /// Fails at `stage`, having tried `what`.
    fn or_fail(self, stage: Stage, what: &str, fix: &str) -> Result<T, Failure>;
}

impl<T, E: std::error::Error> OrFail<T> for Result<T, E> {
    fn or_fail(self, stage: Stage, what: &str, fix: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(stage, format!("{what}: {}", chain(&e)), fix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_have_names_of_their_own() {
        for stage in Stage::ALL {
            assert_eq!(Stage::named(stage.name()), Some(stage));
        }
        assert_eq!(Stage::named("lunch"), None);
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let inner = std::io::Error::other("no room");
        assert_eq!(chain(&Outer(inner)), "outer: no room");

        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Quoting(#[source] std::io::Error);
        let inner = std::io::Error::other("no room");
        assert_eq!(chain(&Quoting(inner)), "outer: no room");
    }

    #[test]
    fn or_fail_names_stage_and_act() {
        let result: Result<(), _> = Err(std::io::Error::other("no room"));
        let failure =
            result.or_fail(Stage::Overlay, "mount the overlay", "give it room").unwrap_err();
        assert_eq!(failure.what, "mount the overlay: no room");
        assert_eq!((failure.stage, failure.fix.as_str()), (Stage::Overlay, "give it room"));
    }
}
