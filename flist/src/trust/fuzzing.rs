//! What the fuzz targets `signature` and `channel` run: any bytes are read or refused, never a panic,
//! and what was read keeps its promises.
#![expect(clippy::panic, reason = "a fuzz target panics where a promise is not kept")]

use super::examples::{FILE, KEY, STATED};
use super::{Channel, Claims, PublicKey, Signatures};
use crate::store::Location;

/// Reads a file of signatures, of which only the examples can be good.
pub(crate) fn signature(bytes: &[u8]) {
    let key: Result<PublicKey, _> = KEY.parse();
    let Ok(key) = key else { panic!("the example is a key") };
    let Ok(signatures) = Signatures::parse(bytes) else { return };
    for signature in signatures.iter() {
        let good = key.signed(FILE, signature);
        assert!(!good || STATED.contains(&signature.comment()), "forged: {signature:?}");
        if let Ok(claims) = Claims::parse(signature.comment()) {
            assert_eq!(Claims::parse(&claims.to_string()), Ok(claims), "read as written");
        }
    }
    let text = signatures.to_string();
    let again = Signatures::parse(text.as_bytes()).map(|again| again.to_string());
    assert_eq!(again.as_ref(), Ok(&text), "read as written");
}

/// Reads a channel, and looks where it leads.
pub(crate) fn channel(bytes: &[u8]) {
    let Ok(channel) = Channel::parse(bytes) else { return };
    assert_eq!(Channel::parse(channel.to_string().as_bytes()).as_ref(), Ok(&channel));
    let at = Location::Url("https://h/folder/s.channel".to_owned());
    let Location::Url(flist) = at.refer(&channel.flist) else { panic!("a path by a URL") };
    let inside = flist.starts_with("https://h/folder/") && !flist.contains("/../");
    assert!(inside || channel.flist.url() == Some(&flist), "{flist} is elsewhere");
    assert!(flist.starts_with("http://") || flist.starts_with("https://"), "{flist}");
}
