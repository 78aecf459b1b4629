//! What a signature says of the image it is of, in its trusted comment:
//! `zimg name=debian version=12.5 date=2026-11-24T17:39:02Z`.

use std::fmt;

use super::{Name, Version};
use crate::date;

/// First word of a trusted comment that states something.
const WORD: &str = "zimg";

/// What the signer states of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// What it is called.
    pub name: Name,
    /// Which version it is.
    pub version: Version,
    /// When it was signed: seconds since 1970.
    pub date: Option<i64>,
}

impl Claims {
    /// Reads a trusted comment.
    ///
    /// # Errors
    /// In a few words why it states no name and version.
    pub fn parse(comment: &str) -> Result<Self, &'static str> {
        let mut words = comment.split(' ');
        if words.next() != Some(WORD) {
            return Err("does not begin with the word zimg");
        }
        let (mut name, mut version, mut date) = (None, None, None);
        for word in words {
            let (key, value) = word.split_once('=').ok_or("has a word without =")?;
            let again = match key {
                "name" => name.replace(value.parse().map_err(|_bad| "has a bad name")?).is_some(),
                "version" => {
                    version.replace(value.parse().map_err(|_bad| "has a bad version")?).is_some()
                }
                "date" => date.replace(date::parse_stamp(value).ok_or("has a bad date")?).is_some(),
                // Of a later version.
                _ => false,
            };
            if again {
                return Err("states something twice");
            }
        }
        let (name, version) = (name.ok_or("has no name=")?, version.ok_or("has no version=")?);
        Ok(Self { name, version, date })
    }
}

impl fmt::Display for Claims {
    /// As a trusted comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD} name={} version={}", self.name, self.version)?;
        self.date.map_or(Ok(()), |date| write!(f, " date={}", date::stamp(date)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn there_and_back() {
        for text in [
            "zimg name=debian version=12.5 date=2026-11-24T17:39:02Z",
            "zimg name=team/web version=0",
        ] {
            assert_eq!(Claims::parse(text).unwrap().to_string(), text);
        }
        let other_order = "zimg date=1970-01-01T00:00:01Z version=1 colour=blue name=x";
        let claims = Claims::parse(other_order).unwrap();
        assert_eq!(claims.to_string(), "zimg name=x version=1 date=1970-01-01T00:00:01Z");
    }

    #[test]
    fn what_states_nothing() {
        for (comment, why) in [
            ("", "begin"),
            ("timestamp:1633700835\tfile:test\tprehashed", "begin"),
            ("zimg", "no name"),
            ("zimgname=x version=1", "begin"),
            (" zimg name=x version=1", "begin"),
            ("zimg name=x", "no version"),
            ("zimg version=1", "no name"),
            ("zimg name=x version=1 name=y", "twice"),
            ("zimg name=x version=1 version=1", "twice"),
            ("zimg name=x  version=1", "without ="),
            ("zimg name=x version=1 ", "without ="),
            ("zimg name= version=1", "bad name"),
            ("zimg name=x version=one", "bad version"),
            ("zimg name=x version=1 date=today", "bad date"),
        ] {
            let said = Claims::parse(comment).unwrap_err();
            assert!(said.contains(why), "{comment:?}: {said}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_is_written(words in "zimg( (name|version|date|x)=[a-z0-9.]{0,4}){0,4}") {
            if let Ok(claims) = Claims::parse(&words) {
                prop_assert_eq!(Claims::parse(&claims.to_string()), Ok(claims));
            }
        }

        #[test]
        fn garbage_never_panics(text: String) {
            let _ = Claims::parse(&text);
        }
    }
}
