//! Loading what has to be signed.

use super::*;
use crate::trust::testing::Signer;
use crate::trust::{BadSignatures, Demands, MAX_SIGNATURES_LEN, PublicKey};

const STATED: &str = "zimg name=web version=1.10";

fn trusting(keys: &[&Signer]) -> Demands {
    Demands { keys: keys.iter().map(|s| s.key()).collect(), ..Demands::default() }
}

fn policy(demands: Demands) -> Policy {
    Policy::new(demands).unwrap()
}

/// A server with `bytes` as an flist signed by `signer`.
fn signed(bytes: &[u8], signer: &Signer, comment: &str) -> Server {
    let server = Server::start();
    server.put("/a.flist", bytes);
    server.put("/a.flist.minisig", signer.sign(bytes, comment));
    server
}

fn load_from(server: &Server, policy: &Policy) -> Result<Loaded, LoadError> {
    from(&url(server, "/a.flist"), policy)
}

fn refusal(server: &Server, policy: &Policy) -> TrustError {
    match load_from(server, policy).unwrap_err() {
        LoadError::Trust { place, error } => {
            assert_eq!(place, server.url("/a.flist"));
            error
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_a_trusted_key_signed() {
    let (ann, bytes) = (Signer::new(), flist());
    let server = signed(&bytes, &ann, STATED);
    let loaded = load_from(&server, &policy(trusting(&[&ann]))).unwrap();
    assert_eq!(loaded.root_hash, RootHash::of(&bytes));
    assert_eq!(loaded.approval.signers, [ann.key().id()]);
    assert_eq!(loaded.approval.claims.unwrap().to_string(), STATED);
    assert_eq!(server.asked().len(), 2);
    // Nobody asks for signatures that nobody demands.
    load_from(&server, &Policy::of_hash(RootHash::of(&bytes))).unwrap();
    assert_eq!(server.asked().len(), 3);

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.flist"), &bytes).unwrap();
    let path = Location::Path(dir.path().join("a.flist"));
    let error = from(&path, &policy(trusting(&[&ann]))).unwrap_err().to_string();
    assert!(error.contains("a.flist.minisig is not there"), "{error}");
    std::fs::write(dir.path().join("a.flist.minisig"), ann.sign(&bytes, STATED)).unwrap();
    from(&path, &policy(trusting(&[&ann]))).unwrap();
}

#[test]
fn a_query_stays_behind_the_signatures_name() {
    let (ann, bytes) = (Signer::new(), flist());
    let server = Server::start();
    server.put("/a.flist?token=1", bytes.clone());
    server.put("/a.flist.minisig?token=1", ann.sign(&bytes, STATED));
    from(&url(&server, "/a.flist?token=1"), &policy(trusting(&[&ann]))).unwrap();
}

#[test]
fn what_nobody_who_is_trusted_signed() {
    let (ann, eve, bytes) = (Signer::new(), Signer::new(), flist());
    let policy = policy(trusting(&[&ann]));
    let server = signed(&bytes, &eve, STATED);
    assert!(matches!(refusal(&server, &policy), TrustError::UnknownKeys { .. }));
    assert_eq!(server.asked().len(), 2, "asking again makes it no other");

    server.put("/a.flist.minisig", "<html>Log in");
    let unreadable = refusal(&server, &policy);
    let page = matches!(&unreadable, TrustError::Unreadable { why: BadSignatures::Other(_), .. });
    assert!(page && unreadable.to_string().contains("HTML"), "{unreadable}");

    let unsigned = Server::start();
    unsigned.put("/a.flist", bytes.clone());
    let error = load_from(&unsigned, &policy).unwrap_err().to_string();
    assert!(error.contains("/a.flist.minisig is not there"), "{error}");
    assert!(error.contains("zimg sign"), "{error}");
}

/// Published one after the other, they may be of two builds for a moment.
#[test]
fn an_flist_and_a_signature_of_two_builds_are_tried_a_few_times() {
    let ann = Signer::new();
    let server = signed(&flist(), &ann, STATED);
    server.put("/a.flist.minisig", ann.sign(b"the build before", STATED));
    let error = refusal(&server, &policy(trusting(&[&ann])));
    assert_eq!(error, TrustError::Forged { id: ann.key().id() });
    assert_eq!(server.asked().len(), 2 * 3);
}

#[test]
fn both_hash_and_signature_where_both_are_demanded() {
    let (ann, eve, bytes) = (Signer::new(), Signer::new(), flist());
    let server = signed(&bytes, &ann, STATED);
    let with = |signer: &Signer, hash| policy(Demands { hash: Some(hash), ..trusting(&[signer]) });
    let (right, wrong) = (RootHash::of(&bytes), RootHash::of(b"another"));
    load_from(&server, &with(&ann, right)).unwrap();
    let error = load_from(&server, &with(&ann, wrong)).unwrap_err();
    assert!(matches!(error, LoadError::WrongHash { .. }), "{error}");
    assert!(matches!(refusal(&server, &with(&eve, right)), TrustError::UnknownKeys { .. }));
}

/// Frames that are decompressed while `load` runs.
fn frames(load: impl FnOnce()) -> usize {
    let before = format::FRAMES.get();
    load();
    format::FRAMES.get() - before
}

/// No byte of an flist reaches zstd before somebody vouches for it, whatever is wrong.
#[test]
fn nothing_is_decoded_before_it_is_vouched_for() {
    let (ann, eve, bytes) = (Signer::new(), Signer::new(), flist());
    let of_ann = policy(trusting(&[&ann]));
    let forged = signed(&bytes, &ann, STATED);
    forged.put("/a.flist.minisig", ann.sign(b"another", STATED));
    let unsigned = Server::start();
    unsigned.put("/a.flist", bytes.clone());
    let other_hash = Policy::of_hash(RootHash::of(b"another"));
    let named = Policy::new(Demands { name: Some("db".parse().unwrap()), ..trusting(&[&ann]) });
    let good = signed(&bytes, &ann, STATED);
    for (what, server, policy) in [
        ("another's", &signed(&bytes, &eve, STATED), &of_ann),
        ("forged", &forged, &of_ann),
        ("unsigned", &unsigned, &of_ann),
        ("another name", &good, &named.unwrap()),
        ("another hash", &good, &other_hash),
    ] {
        let refused = frames(|| drop(load_from(server, policy).unwrap_err()));
        assert_eq!(refused, 0, "{what}");
    }
    // The controls: what is vouched for is decompressed, and what is wrong in it then told.
    assert!(frames(|| drop(load_from(&good, &of_ann).unwrap())) > 0);
    let mut broken = bytes;
    *broken.last_mut().unwrap() ^= 1;
    let error = load_from(&signed(&broken, &ann, STATED), &of_ann).unwrap_err();
    assert!(matches!(error, LoadError::Format { .. }), "{error}");
    let stranger = refusal(&signed(&broken, &eve, STATED), &of_ann);
    assert!(matches!(stranger, TrustError::UnknownKeys { .. }), "{stranger}");
}

#[test]
fn a_web_page_is_no_bad_signature() {
    let ann = Signer::new();
    let server = Server::start();
    server.put("/a.flist", "<!doctype html><p>Please log in");
    server.put("/a.flist.minisig", "<!doctype html><p>Please log in");
    let error = load_from(&server, &policy(trusting(&[&ann]))).unwrap_err();
    let page = matches!(&error, LoadError::Format { error: FormatError::NotAnFlist(_), .. });
    assert!(page && error.to_string().contains("HTML"), "{error}");
}

#[test]
fn endless_signatures() {
    let (ann, bytes) = (Signer::new(), flist());
    let server = signed(&bytes, &ann, STATED);
    let long = usize::try_from(MAX_SIGNATURES_LEN).unwrap() + 1;
    server.put("/a.flist.minisig", vec![b'x'; long]);
    match load_from(&server, &policy(trusting(&[&ann]))).unwrap_err() {
        LoadError::Store { error: StoreError::Protocol { place, fault }, .. } => {
            assert_eq!(fault, Fault::TooLong { limit: MAX_SIGNATURES_LEN });
            assert_eq!(place, server.url("/a.flist.minisig"));
        }
        other => panic!("{other}"),
    }
}

/// Whatever the first mirrors have, the last one's is taken, and only that.
#[test]
fn mirrors_that_have_something_else() {
    let (ann, eve) = (Signer::new(), Signer::new());
    let (bytes, other) = (flist(), format::encode(&Fixture::new(1, 10, 100).image).unwrap());
    let unsigned = Server::start();
    unsigned.put("/a.flist", other.clone());
    let forged = signed(&other, &ann, STATED);
    forged.put("/a.flist.minisig", ann.sign(&bytes, STATED));
    let bad = [
        ("unsigned", unsigned),
        ("another's", signed(&other, &eve, STATED)),
        ("forged", forged),
        ("another image", signed(&other, &ann, "zimg name=db version=1.10")),
        ("an old one", signed(&other, &ann, "zimg name=web version=1.9")),
        ("none said", signed(&other, &ann, "timestamp:1")),
    ];
    let good = signed(&bytes, &ann, STATED);
    let (name, min_version) = (Some("web".parse().unwrap()), Some("1.10".parse().unwrap()));
    let policy = policy(Demands { name, min_version, ..trusting(&[&ann]) });
    for (what, bad) in &bad {
        assert!(load_from(bad, &policy).is_err(), "{what}");
    }
    let mirrors = bad.iter().map(|(_, server)| server).chain([&good]);
    let mirrors: Vec<Location> = mirrors.map(|server| url(server, "/a.flist")).collect();
    let loaded = load(&client(), &mirrors, &policy, &options()).unwrap();
    assert_eq!((loaded.root_hash, loaded.tries), (RootHash::of(&bytes), 1));
    assert_eq!(loaded.location, *mirrors.last().unwrap());
    // The signature of one mirror is not the other's.
    let none = load(&client(), &mirrors[..bad.len()], &policy, &options()).unwrap_err();
    assert!(matches!(none, LoadError::Trust { error: TrustError::Unsigned { .. }, .. }), "{none}");
}

/// Each byte of an flist and of its signature changed, each cut at each length, each longer.
#[test]
fn no_byte_of_an_flist_or_its_signature_can_be_another() {
    let (ann, bytes) = (Signer::new(), flist());
    let key: PublicKey = ann.key();
    let policy = policy(trusting(&[&ann]));
    let dir = tempfile::tempdir().unwrap();
    let (path, beside) = (dir.path().join("a.flist"), dir.path().join("a.flist.minisig"));
    let location = Location::Path(path.clone());
    let once = LoadOptions { tries: 1, ..options() };
    let client = client();
    let refused = |what: &str, at: usize| {
        let result = load(&client, std::slice::from_ref(&location), &policy, &once);
        assert!(result.is_err(), "{what} at {at} is taken");
    };
    let signature = ann.sign(&bytes, STATED);
    std::fs::write(&beside, &signature).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        std::fs::write(&path, changed).unwrap();
        refused("a changed flist", at);
        std::fs::write(&path, &bytes[..at]).unwrap();
        refused("a cut flist", at);
    }
    std::fs::write(&path, [bytes.as_slice(), b"\0"].concat()).unwrap();
    refused("a longer flist", bytes.len());

    std::fs::write(&path, &bytes).unwrap();
    // What comes before the first line's end is nobody's word, as in minisign.
    let first = signature.find('\n').unwrap();
    for at in first..signature.len() {
        let mut changed = signature.clone().into_bytes();
        // Of a line end no other is made.
        let is_end = changed[at] == b'\n';
        changed[at] = if is_end { b'x' } else { changed[at] ^ 1 };
        std::fs::write(&beside, changed).unwrap();
        let last = at + 1 == signature.len();
        if !last {
            refused("a changed signature", at);
            std::fs::write(&beside, &signature[..at]).unwrap();
            refused("a cut signature", at);
        }
    }
    std::fs::write(&beside, format!("{signature}x")).unwrap();
    refused("a longer signature", signature.len());
    // The control.
    std::fs::write(&beside, &signature).unwrap();
    let loaded = load(&client, std::slice::from_ref(&location), &policy, &once).unwrap();
    assert_eq!(loaded.approval.signers, [key.id()]);
}
