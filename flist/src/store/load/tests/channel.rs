//! Loading what a channel names.

use super::*;
use crate::date;
use crate::trust::testing::Signer;
use crate::trust::{Channel, Demands, MAX_CHANNEL_LEN, Reference};

fn channel(bytes: &[u8], version: &str, flist: &str) -> Channel {
    Channel {
        name: "web".parse().unwrap(),
        version: version.parse().unwrap(),
        root_hash: RootHash::of(bytes),
        flist: Reference::new(flist).unwrap(),
        expires: date::now() + 1000,
    }
}

/// Lays a channel and its signature on a server.
fn publish(server: &Server, path: &str, channel: &Channel, signer: &Signer) {
    let bytes = channel.to_string().into_bytes();
    server.put(&format!("{path}.minisig"), signer.sign(&bytes, "timestamp:1"));
    server.put(path, bytes);
}

fn demands(signer: &Signer) -> Demands {
    let (name, min_version) = (Some("web".parse().unwrap()), Some("1.9".parse().unwrap()));
    Demands { keys: vec![signer.key()], name, min_version, ..Demands::default() }
}

fn policy(signer: &Signer) -> Policy {
    Policy::new(demands(signer)).unwrap()
}

fn refusal(server: &Server, policy: &Policy) -> TrustError {
    match from(&url(server, "/s.channel"), policy).unwrap_err() {
        LoadError::Trust { place, error } => {
            assert_eq!(place, server.url("/s.channel"));
            error
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_flist_that_it_names() {
    let (server, ann, bytes) = (Server::start(), Signer::new(), flist());
    // It needs no signature of its own: the channel's root hash vouches for it.
    server.put("/img/a.flist", bytes.clone());
    publish(&server, "/s.channel", &channel(&bytes, "1.10", "img/a.flist"), &ann);
    let loaded = from(&url(&server, "/s.channel"), &policy(&ann)).unwrap();
    assert_eq!(loaded.root_hash, RootHash::of(&bytes));
    assert_eq!(loaded.approval.signers, [ann.key().id()]);
    assert_eq!(loaded.approval.claims.as_ref().unwrap().version.to_string(), "1.10");
    // Its packs lie beside the flist, here and on the other mirrors.
    let other = Location::Url("http://other/x/s.channel".into());
    let mirrors = loaded.mirrors(&[other, url(&server, "/s.channel")]);
    let there = Location::Url("http://other/x/img/a.flist".into());
    assert_eq!(mirrors, [url(&server, "/img/a.flist"), there]);

    let elsewhere = Server::start();
    publish(&elsewhere, "/s.channel", &channel(&bytes, "1.10", &server.url("/img/a.flist")), &ann);
    let loaded = from(&url(&elsewhere, "/s.channel"), &policy(&ann)).unwrap();
    assert_eq!(loaded.location, url(&server, "/img/a.flist"));
}

#[test]
fn never_without_a_key() {
    let (server, ann, bytes) = (Server::start(), Signer::new(), flist());
    server.put("/a.flist", bytes.clone());
    publish(&server, "/s.channel", &channel(&bytes, "1.10", "a.flist"), &ann);
    for policy in [Policy::anything(), Policy::of_hash(RootHash::of(&bytes))] {
        assert_eq!(refusal(&server, &policy), TrustError::KeylessChannel);
    }
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn old_expired_and_foreign_ones() {
    let (server, ann, eve, bytes) = (Server::start(), Signer::new(), Signer::new(), flist());
    server.put("/a.flist", bytes.clone());
    let said = |channel: &Channel, signer: &Signer| {
        publish(&server, "/s.channel", channel, signer);
        refusal(&server, &policy(&ann))
    };
    let good = channel(&bytes, "1.10", "a.flist");
    assert!(matches!(said(&good, &eve), TrustError::UnknownKeys { .. }));
    assert!(matches!(said(&channel(&bytes, "1.8", "a.flist"), &ann), TrustError::TooOld { .. }));
    let expired = Channel { expires: date::now() - 1, ..good.clone() };
    assert!(matches!(said(&expired, &ann), TrustError::Expired { .. }));
    let other = Channel { name: "db".parse().unwrap(), ..good.clone() };
    assert!(matches!(said(&other, &ann), TrustError::WrongName { .. }));
    // None of them led anywhere.
    assert!(server.asked().iter().all(|asked| !asked.path.contains("flist")));
}

#[test]
fn another_flist_in_its_place() {
    let (server, ann, bytes) = (Server::start(), Signer::new(), flist());
    let other = format::encode(&Fixture::new(1, 10, 100).image).unwrap();
    // Signed by the same key: but the channel names another.
    server.put("/a.flist", other.clone());
    server.put("/a.flist.minisig", ann.sign(&other, "zimg name=web version=1.10"));
    publish(&server, "/s.channel", &channel(&bytes, "1.10", "a.flist"), &ann);
    let error = from(&url(&server, "/s.channel"), &policy(&ann)).unwrap_err();
    assert!(matches!(error, LoadError::WrongHash { .. }), "{error}");
    server.put("/a.flist", "<html>Log in");
    let error = from(&url(&server, "/s.channel"), &policy(&ann)).unwrap_err();
    assert!(error.to_string().contains("HTML"), "{error}");

    // A root hash that is demanded besides is that of the flist.
    server.put("/a.flist", bytes.clone());
    let with_hash = |hash| Policy::new(Demands { hash: Some(hash), ..demands(&ann) }).unwrap();
    from(&url(&server, "/s.channel"), &with_hash(RootHash::of(&bytes))).unwrap();
    let error = from(&url(&server, "/s.channel"), &with_hash(RootHash::of(&other))).unwrap_err();
    assert!(matches!(error, LoadError::WrongHash { .. }), "{error}");
}

/// Whoever answers for a channel can't lay an old flist there, which has a good signature but never
/// expires; nor may a channel lead to another.
#[test]
fn flists_and_channels_are_told_apart_by_their_names() {
    let (server, ann, bytes) = (Server::start(), Signer::new(), flist());
    server.put("/s.channel", bytes.clone());
    server.put("/s.channel.minisig", ann.sign(&bytes, "zimg name=web version=1.10"));
    let error = refusal(&server, &policy(&ann));
    assert!(matches!(error, TrustError::BadChannel(_)), "{error}");

    let good = channel(&bytes, "1.10", "a.flist");
    publish(&server, "/a.flist", &good, &ann);
    let as_flist = policy(&ann);
    let error = from(&url(&server, "/a.flist"), &as_flist).unwrap_err();
    assert!(error.to_string().contains("looks like a channel"), "{error}");
    let bytes = good.to_string().into_bytes();
    publish(&server, "/s.channel", &channel(&bytes, "1.10", "a.flist"), &ann);
    let error = from(&url(&server, "/s.channel"), &as_flist).unwrap_err();
    assert!(error.to_string().contains("looks like a channel"), "{error}");
}

#[test]
fn an_endless_channel() {
    let (server, ann) = (Server::start(), Signer::new());
    server.put("/s.channel", vec![b'x'; usize::try_from(MAX_CHANNEL_LEN).unwrap() + 1]);
    server.put("/s.channel.minisig", ann.sign(b"x", ""));
    let error = from(&url(&server, "/s.channel"), &policy(&ann)).unwrap_err();
    let LoadError::Store { error: StoreError::Protocol { fault, .. }, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(fault, Fault::TooLong { limit: MAX_CHANNEL_LEN });
}

/// A mirror whose channel is old or expired is left for the next.
#[test]
fn mirrors_with_other_channels() {
    let (ann, bytes) = (Signer::new(), flist());
    let servers = [Server::start(), Server::start(), Server::start()];
    servers[2].put("/a.flist", bytes.clone());
    let good = channel(&bytes, "1.10", "a.flist");
    publish(&servers[0], "/s.channel", &channel(&bytes, "1.8", "a.flist"), &ann);
    let expired = Channel { expires: date::now() - 1, ..good.clone() };
    publish(&servers[1], "/s.channel", &expired, &ann);
    publish(&servers[2], "/s.channel", &good, &ann);
    let mirrors: Vec<Location> = servers.iter().map(|server| url(server, "/s.channel")).collect();
    let loaded = load(&client(), &mirrors, &policy(&ann), &options()).unwrap();
    assert_eq!(loaded.location, url(&servers[2], "/a.flist"));
    assert_eq!(loaded.channel, Some(good));
}

/// Each byte of a channel changed, removed, or cut: refused.
#[test]
fn no_byte_of_a_channel_can_be_another() {
    let (ann, bytes) = (Signer::new(), flist());
    let policy = policy(&ann);
    let text = channel(&bytes, "1.10", "a.flist").to_string().into_bytes();
    let signatures = ann.signatures(&text, "");
    let check = |text: &[u8]| policy.check_channel(text, &signatures, "", date::now());
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone();
            changed[at] ^= 1 << bit;
            assert!(check(&changed).is_err(), "{at} {bit}");
        }
        assert!(check(&text[..at]).is_err(), "{at}");
    }
    assert!(check(&[text.as_slice(), b"\n"].concat()).is_err());
    check(&text).expect("the control");
}
