//! Secret keys of minisign: read, made, and used.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use anyhow::{Context, bail};
use ct_codecs::{Base64, Decoder};
use flist::trust::{PublicKey, Signature, Signatures};
use minisign::{KeyPair, SecretKeyBox};

use super::password;

/// Longest file that is read as a key, in bytes.
const MAX_LEN: u64 = 4 << 10;

/// How the base64 of a key begins: Ed, how it is encrypted (scrypt or not), B2.
const ENCRYPTED: &str = "RWRTY0Iy";
const PLAIN: &str = "RWQAAEIy";

/// Bytes of a key, and of the checksum that it ends with.
const KEY_LEN: usize = 158;
const CHECKSUM_LEN: usize = 32;

/// A key to sign with.
pub(crate) struct Secret {
    key: minisign::SecretKey,
    public: PublicKey,
}

impl Secret {
    /// Reads the key in the file `path`, and decrypts it where it is encrypted.
    pub(crate) fn load(path: &Path, password_file: Option<&Path>) -> anyhow::Result<Self> {
        let name = || format!("secret key {}", path.display());
        let mut text = String::new();
        let file = File::open(path).with_context(name)?;
        file.take(MAX_LEN).read_to_string(&mut text).with_context(name)?;
        let line = text.lines().nth(1).unwrap_or_default().trim();
        let boxed = SecretKeyBox::from(text.clone());
        let key = if line.starts_with(PLAIN) {
            without_checksum(line).map_or_else(|| boxed.into_unencrypted_secret_key(), Ok)
        } else if line.starts_with(ENCRYPTED) {
            boxed.into_secret_key(Some(password::of(path, password_file)?))
        } else if PublicKey::parse(text.as_bytes()).is_ok() {
            bail!("{}: this is the public key; its secret part signs, NAME.key", path.display());
        } else {
            bail!("{}: this is no secret key of minisign; `zimg keygen` makes one", path.display());
        };
        Self::new(key.with_context(name)?).with_context(name)
    }

    fn new(key: minisign::SecretKey) -> anyhow::Result<Self> {
        let public = minisign::PublicKey::from_secret_key(&key)?.to_base64().parse()?;
        Ok(Self { key, public })
    }

    /// What others know it by.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of `bytes`, which states `comment`. It has been checked.
    pub(crate) fn sign(&self, bytes: &[u8], comment: &str) -> anyhow::Result<Signature> {
        let untrusted = format!("signature by key {}", self.public.id());
        let made =
            minisign::sign(None, &self.key, Cursor::new(bytes), Some(comment), Some(&untrusted))?;
        let signatures = Signatures::parse(made.to_string().as_bytes())?;
        let good = signatures.iter().find(|signature| self.public.signed(bytes, signature));
        good.cloned().context("the signature just made is not good: this key is damaged")
    }
}

/// The key that `line` holds, if it has no checksum: minisign gives one to encrypted keys only. What
/// it signs is checked in any case.
fn without_checksum(line: &str) -> Option<minisign::SecretKey> {
    let bytes = Base64::decode_to_vec(line, None).ok()?;
    let checksum = bytes.get(bytes.len().checked_sub(CHECKSUM_LEN)?..)?;
    let none = checksum.iter().all(|byte| *byte == 0);
    minisign::SecretKey::from_bytes(&bytes).ok().filter(|_| none && bytes.len() == KEY_LEN)
}

/// A key pair, as the two files that it is kept in: secret and public.
pub(super) struct Files {
    pub(super) secret: String,
    pub(super) public: String,
    pub(super) key: PublicKey,
}

/// Makes a key pair, its secret part encrypted with `password`, if there is one.
pub(super) fn generate(password: Option<String>) -> anyhow::Result<Files> {
    let how = if password.is_some() { "encrypted" } else { "unencrypted" };
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let KeyPair { pk, sk } = pair.context("can't make a key")?;
    let key: PublicKey = pk.to_base64().parse()?;
    let secret = sk.to_box(Some(&format!("zimg {how} secret key {}", key.id())))?.into_string();
    let public = format!("untrusted comment: zimg public key {}\n{key}\n", key.id());
    Ok(Files { secret, public, key })
}
