use super::*;
use crate::trust::testing::Signer;

const BYTES: &[u8] = b"an flist";
const PLACE: &str = "x.flist.minisig";
const STATED: &str = "zimg name=web version=1.10 date=2026-11-24T17:39:02Z";

fn demands(keys: &[&Signer]) -> Demands {
    Demands { keys: keys.iter().map(|s| s.key()).collect(), ..Demands::default() }
}

fn policy(demands: Demands) -> Policy {
    Policy::new(demands).unwrap()
}

/// One file of signatures of [`BYTES`] by several.
fn signed(by: &[(&Signer, &str)]) -> Signatures {
    let text: String = by.iter().map(|(signer, comment)| signer.sign(BYTES, comment)).collect();
    Signatures::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_signature_by_a_trusted_key() {
    let (ann, bob) = (Signer::new(), Signer::new());
    let of_ann = policy(demands(&[&ann]));
    let approval = of_ann.check(BYTES, &ann.signatures(BYTES, STATED), PLACE).unwrap();
    assert_eq!(approval.signers, [ann.key().id()]);
    assert_eq!(approval.claims.unwrap().to_string(), STATED);
    // Whatever the ordinary tool states does where nothing is demanded of it.
    let plain = ann.signatures(BYTES, "timestamp:1\tfile:x");
    assert_eq!(of_ann.check(BYTES, &plain, PLACE).unwrap().claims, None);

    let error = of_ann.check(BYTES, &bob.signatures(BYTES, STATED), PLACE).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, TrustError::UnknownKeys { .. }), "{said}");
    for word in [bob.key().id().to_string(), ann.key().id().to_string(), PLACE.to_owned()] {
        assert!(said.contains(&word), "{said}");
    }
    let none = of_ann.check(BYTES, &Signatures::default(), PLACE).unwrap_err();
    assert!(matches!(none, TrustError::UnknownKeys { .. }), "{none}");
}

#[test]
fn a_signature_of_something_else() {
    let ann = Signer::new();
    let policy = policy(demands(&[&ann]));
    let error = policy.check(BYTES, &ann.signatures(b"another flist", STATED), PLACE);
    assert_eq!(error, Err(TrustError::Forged { id: ann.key().id() }));
    // One of an older build beside the right one does no harm, in either order.
    let (old, new) = (ann.sign(b"another flist", STATED), ann.sign(BYTES, STATED));
    for text in [format!("{old}{new}"), format!("{new}{old}")] {
        let both = Signatures::parse(text.as_bytes()).unwrap();
        assert_eq!(policy.check(BYTES, &both, PLACE).unwrap().signers.len(), 1);
    }
}

#[test]
fn another_trusted_comment_is_as_bad_as_another_file() {
    let ann = Signer::new();
    let text = ann.sign(BYTES, STATED).replace("version=1.10", "version=9.10");
    let changed = Signatures::parse(text.as_bytes()).unwrap();
    let error = policy(demands(&[&ann])).check(BYTES, &changed, PLACE);
    assert_eq!(error, Err(TrustError::Forged { id: ann.key().id() }));
    // That comment with its own global signature, but that of another file.
    let other = ann.sign(b"another flist", &STATED.replace("1.10", "9.10"));
    let lines =
        |text: &str, from: usize| text.lines().skip(from).take(2).collect::<Vec<_>>().join("\n");
    let mixed = format!("{}\n{}\n", lines(&ann.sign(BYTES, STATED), 0), lines(&other, 2));
    let mixed = Signatures::parse(mixed.as_bytes()).unwrap();
    let error = policy(demands(&[&ann])).check(BYTES, &mixed, PLACE);
    assert_eq!(error, Err(TrustError::Forged { id: ann.key().id() }));
}

#[test]
fn one_who_takes_anothers_id() {
    // Ids are chosen by who makes a key: only the key itself counts.
    let ann = Signer::new();
    let forged = Signer::posing_as(&ann).signatures(BYTES, STATED);
    assert!(forged.iter().all(|s| s.id() == ann.key().id()));
    let error = policy(demands(&[&ann])).check(BYTES, &forged, PLACE);
    assert_eq!(error, Err(TrustError::Forged { id: ann.key().id() }));
}

#[test]
fn k_of_n() {
    let (ann, bob, cat, eve) = (Signer::new(), Signer::new(), Signer::new(), Signer::new());
    let two = Demands { signatures: Some(2), ..demands(&[&ann, &bob, &cat]) };
    let two = policy(two);
    let check = |by: &[(&Signer, &str)]| two.check(BYTES, &signed(by), PLACE);
    assert_eq!(check(&[(&ann, STATED), (&cat, STATED)]).unwrap().signers.len(), 2);
    assert_eq!(check(&[(&eve, ""), (&bob, STATED), (&cat, STATED)]).unwrap().signers.len(), 2);
    // One key counts once, however often it signs; and strangers don't.
    for by in [&[(&ann, STATED)][..], &[(&ann, STATED), (&ann, "")], &[(&ann, ""), (&eve, "")]] {
        match check(by).unwrap_err() {
            TrustError::TooFew { got, want: 2, fault: None } => assert_eq!(got, [ann.key().id()]),
            other => panic!("{other}"),
        }
    }
    let text = format!("{}{}", ann.sign(BYTES, STATED), bob.sign(b"another", STATED));
    let error = two.check(BYTES, &Signatures::parse(text.as_bytes()).unwrap(), PLACE).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("1 of the 2") && said.contains(&bob.key().id().to_string()), "{said}");
}

#[test]
fn a_key_given_twice_is_one() {
    let ann = Signer::new();
    let twice = Demands { signatures: Some(2), ..demands(&[&ann, &ann]) };
    assert_eq!(Policy::new(twice), Err(PolicyError::Signatures { signatures: 2, keys: 1 }));
}

#[test]
fn names_and_versions() {
    let ann = Signer::new();
    let pinned = |name: Option<&str>, least: Option<&str>| {
        let (name, min_version) =
            (name.map(|n| n.parse().unwrap()), least.map(|v| v.parse().unwrap()));
        policy(Demands { name, min_version, ..demands(&[&ann]) })
    };
    let check = |policy: &Policy, comment: &str| {
        policy.check(BYTES, &ann.signatures(BYTES, comment), PLACE).map(|_| ())
    };
    for (name, least) in
        [(None, None), (Some("web"), None), (None, Some("1.9")), (Some("web"), Some("1.10"))]
    {
        assert_eq!(check(&pinned(name, least), STATED), Ok(()), "{name:?} {least:?}");
    }
    let wrong = check(&pinned(Some("db"), None), STATED).unwrap_err();
    assert!(matches!(wrong, TrustError::WrongName { .. }), "{wrong}");
    let old = check(&pinned(Some("web"), Some("1.11")), STATED).unwrap_err();
    assert_eq!(
        old.to_string(),
        "it is signed as version 1.10, older than 1.11, the least that is allowed"
    );
    for policy in [pinned(Some("web"), None), pinned(None, Some("0"))] {
        for comment in ["timestamp:1\tfile:web", "zimg name=web", ""] {
            let error = check(&policy, comment).unwrap_err();
            assert!(matches!(error, TrustError::NoClaims { .. }), "{error}");
        }
    }
}

/// Each of the signatures that count must state it: one good signer's word is not the other's.
#[test]
fn each_signer_states_the_name() {
    let (ann, bob) = (Signer::new(), Signer::new());
    let name = Some("web".parse().unwrap());
    let policy = policy(Demands { name, signatures: Some(2), ..demands(&[&ann, &bob]) });
    let other = STATED.replace("web", "db");
    assert!(policy.check(BYTES, &signed(&[(&ann, STATED), (&bob, STATED)]), PLACE).is_ok());
    let error = policy.check(BYTES, &signed(&[(&ann, STATED), (&bob, &other)]), PLACE).unwrap_err();
    assert!(matches!(&error, TrustError::TooFew { fault: Some(_), .. }), "{error}");
}

#[test]
fn channels() {
    const NOW: i64 = 1_800_000_000;
    let (ann, eve) = (Signer::new(), Signer::new());
    let channel = |version: &str, expires: i64| Channel {
        name: "web".parse().unwrap(),
        version: version.parse().unwrap(),
        root_hash: RootHash::of(b"x"),
        flist: crate::trust::Reference::new("web.flist").unwrap(),
        expires,
    };
    let pinned = |name: &str| {
        let (name, min_version) = (name.parse().ok(), "1.9".parse().ok());
        policy(Demands { name, min_version, ..demands(&[&ann]) })
    };
    let check = |policy: &Policy, channel: &Channel, by: &Signer| {
        let bytes = channel.to_string().into_bytes();
        // What the comment states is not asked, as the channel states it.
        policy.check_channel(&bytes, &by.signatures(&bytes, "timestamp:1"), PLACE, NOW)
    };
    let good = channel("1.10", NOW + 1);
    let (read, approval) = check(&pinned("web"), &good, &ann).unwrap();
    assert_eq!((read, approval.signers), (good.clone(), vec![ann.key().id()]));
    assert_eq!(approval.claims.unwrap().to_string(), "zimg name=web version=1.10");

    let refused =
        |policy: &Policy, channel: &Channel, by: &Signer| check(policy, channel, by).unwrap_err();
    assert!(matches!(refused(&pinned("web"), &good, &eve), TrustError::UnknownKeys { .. }));
    assert!(matches!(refused(&pinned("db"), &good, &ann), TrustError::WrongName { .. }));
    let old = channel("1.8", NOW + 1);
    assert!(matches!(refused(&pinned("web"), &old, &ann), TrustError::TooOld { .. }));
    let expired = refused(&pinned("web"), &channel("1.10", NOW), &ann);
    assert_eq!(expired, TrustError::Expired { expires: NOW, now: NOW });
    assert!(expired.to_string().contains("2027-01-15 08:00:00 UTC"), "{expired}");

    // Without a key there is no channel, whatever else is demanded.
    for policy in [Policy::anything(), Policy::of_hash(good.root_hash)] {
        assert_eq!(refused(&policy, &good, &ann), TrustError::KeylessChannel);
    }
    // The signature of an flist is none of a channel, nor what is signed but no channel one.
    let bytes = good.to_string().into_bytes();
    let of_flist = ann.signatures(BYTES, STATED);
    let error = pinned("web").check_channel(&bytes, &of_flist, PLACE, NOW).unwrap_err();
    assert!(matches!(error, TrustError::Forged { .. }), "{error}");
    let error = pinned("web").check_channel(BYTES, &of_flist, PLACE, NOW).unwrap_err();
    assert!(matches!(error, TrustError::BadChannel(_)), "{error}");
}

#[test]
fn what_is_no_policy() {
    let ann = Signer::new();
    assert_eq!(Policy::new(Demands::default()), Err(PolicyError::Nothing));
    let hash = RootHash::of(b"x");
    let with_hash = || Demands { hash: Some(hash), ..Demands::default() };
    assert_eq!(Policy::new(with_hash()), Ok(Policy::of_hash(hash)));
    for (demands, what) in [
        (Demands { name: Some("a".parse().unwrap()), ..with_hash() }, "a name"),
        (Demands { min_version: Some("1".parse().unwrap()), ..with_hash() }, "a version"),
        (Demands { signatures: Some(1), ..with_hash() }, "a number of signatures"),
    ] {
        assert_eq!(Policy::new(demands), Err(PolicyError::Keyless(what)));
    }
    for signatures in [0, 2, usize::MAX] {
        let error = Policy::new(Demands { signatures: Some(signatures), ..demands(&[&ann]) });
        assert_eq!(error, Err(PolicyError::Signatures { signatures, keys: 1 }));
    }
}
