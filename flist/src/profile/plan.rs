//! What of an image is fetched ahead of need.

use std::collections::HashSet;
use std::str::FromStr;

use super::Profile;
use crate::image::Image;

/// How much of an image is fetched before it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefetch {
    /// Nothing.
    Off,
    /// What the profile says is needed.
    #[default]
    Profile,
    /// That, then all else: no store is needed from then on.
    All,
}

/// Some other word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected off, profile or all")]
pub struct BadPrefetch;

impl FromStr for Prefetch {
    type Err = BadPrefetch;

    fn from_str(text: &str) -> Result<Self, BadPrefetch> {
        match text {
            "off" => Ok(Self::Off),
            "profile" => Ok(Self::Profile),
            "all" => Ok(Self::All),
            _ => Err(BadPrefetch),
        }
    }
}

impl Prefetch {
    /// The chunks of `image` to be fetched, in that order: those that `profile` needs or, without one,
    /// the image's own profile; then the rest, if all are asked for.
    pub fn chunks(self, image: &Image, profile: Option<&Profile>) -> Vec<u32> {
        let first = match (self, profile) {
            (Self::Off, _) => Vec::new(),
            (_, Some(profile)) => profile.chunks(image),
            (_, None) => image.profiled().collect(),
        };
        let all = if self == Self::All { image.chunks().len() } else { 0 };
        let mut seen = HashSet::new();
        first.into_iter().chain((0..).take(all)).filter(|number| seen.insert(*number)).collect()
    }
}

impl Profile {
    /// The chunks of `image` that hold what is needed, in that order. What the image does not have
    /// counts for nothing.
    pub fn chunks(&self, image: &Image) -> Vec<u32> {
        let mut seen = HashSet::new();
        let needs = self.needs().iter();
        let pieces = needs.filter_map(|need| {
            let ino = image.resolve(&need.path)?;
            Some(image.pieces(ino, need.range.clone()))
        });
        let numbers = pieces.flatten().map(|piece| piece.chunk);
        numbers.filter(|number| seen.insert(*number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::sample::{dir, file, image, noise};
    use crate::profile::Need;

    #[test]
    fn chunks_in_the_order_of_need() {
        let root = dir([("a", file(noise(1, 4000))), ("b", file(noise(2, 4000)))]);
        let (image, _) = image(&root, 1000);
        let need = |path: &str, range| Need { path: path.into(), range };
        let profile = Profile::new([
            need("/b", 1500..2500),
            need("/gone", 0..10),
            need("/a", 0..1),
            need("/b", 0..1),
            need("/a", 3999..9000),
        ]);
        let of = |place: u64| u32::try_from(place / 1000).unwrap();
        let at = |path: &[u8], offset| {
            let ino = image.resolve(path).unwrap();
            of(image.extents(ino).unwrap()[0].content_offset + offset)
        };
        let want = [at(b"/b", 1500), at(b"/b", 2499), at(b"/a", 0), at(b"/b", 0), at(b"/a", 3999)];
        assert_eq!(profile.chunks(&image), want);
        assert_eq!(Prefetch::Profile.chunks(&image, Some(&profile)), want);
        let all = Prefetch::All.chunks(&image, Some(&profile));
        assert_eq!((&all[..5], all.len()), (&want[..], image.chunks().len()));
        assert!(Prefetch::Off.chunks(&image, Some(&profile)).is_empty());
        assert!(Prefetch::Profile.chunks(&image, None).is_empty(), "it has none of its own");
    }

    #[test]
    fn the_words() {
        let words = ["off", "profile", "all"].map(str::parse);
        assert_eq!(words, [Ok(Prefetch::Off), Ok(Prefetch::Profile), Ok(Prefetch::All)]);
        assert_eq!("All".parse::<Prefetch>(), Err(BadPrefetch));
    }
}
