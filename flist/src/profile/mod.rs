//! Profiles: which ranges of which files a system reads, in the order in which it first needs them.
//!
//! A profile names files by path, so that one made with an image helps its later versions too. It is
//! a hint: whatever it says, an image reads the same.

mod covered;
mod once;
mod plan;
mod recorder;
mod text;

use std::ops::Range;

pub(crate) use once::Once;
pub use plan::{BadPrefetch, Prefetch};
pub use recorder::Recorder;
pub use text::{BadProfile, MAX_PROFILE_LEN};

/// Most ranges of a profile: some hundred times what the boot of a Debian needs.
pub const MAX_NEEDS: usize = 1 << 18;

/// A range of a file that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The file, from the root of the image: `/etc/passwd`.
    pub path: Vec<u8>,
    /// Which bytes of it; never empty.
    pub range: Range<u64>,
}

/// What a system reads, in the order of first need. No byte of a file is in it twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    needs: Vec<Need>,
}

impl Profile {
    /// The profile of `needs`, in their order. What was needed before, and what is beyond
    /// [`MAX_NEEDS`], is left out.
    pub fn new(needs: impl IntoIterator<Item = Need>) -> Self {
        let mut once = Once::new(MAX_NEEDS);
        for Need { path, range } in needs {
            once.add(&path, range);
        }
        let needs = once.into_ranges().into_iter().map(|(path, range)| Need { path, range });
        Self { needs: needs.collect() }
    }

    /// One profile of several: what the first needs, then what the others need beyond that.
    pub fn merged(profiles: impl IntoIterator<Item = Self>) -> Self {
        Self::new(profiles.into_iter().flat_map(|profile| profile.needs))
    }

    /// What is needed, in order.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(path: &str, range: Range<u64>) -> Need {
        Need { path: path.into(), range }
    }

    #[test]
    fn nothing_is_needed_twice() {
        let profile = Profile::new([
            need("/a", 0..100),
            need("/b", 50..60),
            need("/a", 80..120),
            need("/b", 0..100),
            need("/a", 0..120),
        ]);
        let want = [
            need("/a", 0..100),
            need("/b", 50..60),
            need("/a", 100..120),
            need("/b", 0..50),
            need("/b", 60..100),
        ];
        assert_eq!(profile.needs(), want);
    }

    #[test]
    fn what_goes_on_is_one_need() {
        let profile = Profile::new((0..10).map(|at| need("/a", at * 10..at * 10 + 10)));
        assert_eq!(profile.needs(), [need("/a", 0..100)]);
    }

    #[test]
    fn the_second_adds_what_the_first_lacks() {
        let first = Profile::new([need("/a", 0..10), need("/c", 0..10)]);
        let second = Profile::new([need("/b", 0..5), need("/a", 0..20)]);
        let merged = Profile::merged([first, second]);
        let want = [need("/a", 0..10), need("/c", 0..10), need("/b", 0..5), need("/a", 10..20)];
        assert_eq!(merged.needs(), want);
    }
}
