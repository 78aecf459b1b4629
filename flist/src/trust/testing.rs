//! For tests: keys that sign.

use std::io::Cursor;

use super::{PublicKey, Signatures};

/// A key pair made for the test.
pub(crate) struct Signer(minisign::KeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(minisign::KeyPair::generate_unencrypted_keypair().unwrap())
    }

    /// One with a key of its own, and the id of another's.
    pub(crate) fn posing_as(other: &Self) -> Self {
        /// Where minisign's secret keys have it.
        const ID: std::ops::Range<usize> = 54..62;
        let minisign::KeyPair { pk, sk } = Self::new().0;
        let mut bytes = sk.to_bytes();
        assert_eq!(&bytes[ID], sk.keynum());
        bytes[ID].copy_from_slice(other.0.sk.keynum());
        Self(minisign::KeyPair { pk, sk: minisign::SecretKey::from_bytes(&bytes).unwrap() })
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.0.pk.to_base64().parse().unwrap()
    }

    /// The signature of `bytes` as a file, stating `comment`.
    pub(crate) fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let signed = minisign::sign(None, &self.0.sk, Cursor::new(bytes), Some(comment), None);
        signed.unwrap().to_string()
    }

    pub(crate) fn signatures(&self, bytes: &[u8], comment: &str) -> Signatures {
        Signatures::parse(self.sign(bytes, comment).as_bytes()).unwrap()
    }
}
