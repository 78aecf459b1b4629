//! What is asked of a TPM 2.0, and what it answers: TCG's TPM 2.0 Library, parts 2 and 3. All numbers
//! are big-endian; an answer is believed in nothing.

use super::TpmError;
use std::fs::File;
use std::io::{Read as _, Write as _};

/// Longest answer, in bytes: the kernel's own bound.
const ANSWER_MAX: usize = 4096;

/// Most digests or banks of one answer: `HASH_COUNT` of any TPM there is.
const BANKS_MAX: u32 = 16;

/// The most bytes to be hashed that one command carries: `TPM2B_EVENT` and `TPM2B_MAX_BUFFER`.
const PIECE_MAX: usize = 1024;

/// `TPM_ST_NO_SESSIONS` and `TPM_ST_SESSIONS`.
const PLAIN: u16 = 0x8001;
const AUTHORISED: u16 = 0x8002;

/// `TPM_CC_…`.
const PCR_EVENT: u32 = 0x13c;
const SEQUENCE_UPDATE: u32 = 0x15c;
const GET_CAPABILITY: u32 = 0x17a;
const EVENT_SEQUENCE_COMPLETE: u32 = 0x185;
const HASH_SEQUENCE_START: u32 = 0x186;

/// `TPM_CAP_PCRS`.
const CAP_PCRS: u32 = 5;

/// `TPM_ALG_NULL`: a sequence in all banks.
const ALG_NULL: u16 = 0x10;

/// An authorisation by the empty password: `TPM_RS_PW`, no nonce, no attributes, no password.
const EMPTY_PASSWORD: [u8; 9] = [0x40, 0, 0, 0x09, 0, 0, 0, 0, 0];

/// Algorithms (`TPM_ALG_…`: SHA-1, -256, -384, -512, SM3-256, SHA3-256, -384, -512) and the bytes of a
/// digest.
const DIGEST_LENS: [(u16, usize); 8] = [
    (0x04, 20),
    (0x0b, 32),
    (0x0c, 48),
    (0x0d, 64),
    (0x12, 32),
    (0x27, 32),
    (0x28, 48),
    (0x29, 64),
];

/// What carries a command to a TPM and brings its answer.
pub(super) trait Transport {
    fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError>;
}

/// The kernel's device. It also bounds how long a TPM may take.
impl Transport for File {
    fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        self.write_all(command)?;
        let mut answer = vec![0; ANSWER_MAX];
        let len = self.read(&mut answer)?;
        answer.truncate(len);
        Ok(answer)
    }
}

/// Digests of the same data, each with its algorithm.
pub(super) type Digests = Vec<(u16, Vec<u8>)>;

/// The bytes of a digest by `algorithm`.
pub(super) fn digest_len(algorithm: u16) -> Option<usize> {
    DIGEST_LENS.iter().find(|(known, _)| *known == algorithm).map(|(_, len)| *len)
}

/// The algorithms of the banks in which `pcr` can be extended.
pub(super) fn banks(tpm: &mut impl Transport, pcr: u8) -> Result<Vec<u16>, TpmError> {
    let mut parameters = CAP_PCRS.to_be_bytes().to_vec();
    // From the first on, and as many as there are.
    parameters.extend([0, 0, 0, 0, 0, 0, 0, 0x7f]);
    let answer = ask(tpm, GET_CAPABILITY, &[], &parameters)?;
    let mut rest = Reader(&answer);
    // Whether there is more: there are fewer banks than an answer holds.
    rest.take(1)?;
    if rest.u32()? != CAP_PCRS {
        return Err(TpmError::Answer("it tells of something else"));
    }
    let mut banks = Vec::new();
    for _ in 0..rest.count()? {
        let algorithm = rest.u16()?;
        let [select_len] = *rest.take(1)? else { return Err(SHORT) };
        let selected = rest.take(usize::from(select_len))?;
        let byte = selected.get(usize::from(pcr / 8)).copied().unwrap_or(0);
        if byte & (1 << (pcr % 8)) != 0 {
            banks.push(algorithm);
        }
    }
    Ok(banks)
}

/// Extends `pcr` by `data` in all banks. The TPM itself computes the digests.
pub(super) fn extend(tpm: &mut impl Transport, pcr: u8, data: &[u8]) -> Result<Digests, TpmError> {
    let pcr = u32::from(pcr);
    if data.len() <= PIECE_MAX {
        return digests(&ask(tpm, PCR_EVENT, &[pcr], &sized(data)?)?);
    }
    let start = [&sized(&[])?[..], &ALG_NULL.to_be_bytes()].concat();
    let sequence = Reader(&ask(tpm, HASH_SEQUENCE_START, &[], &start)?).u32()?;
    let mut pieces = data.chunks(PIECE_MAX).peekable();
    while let Some(piece) = pieces.next() {
        let piece_sized = sized(piece)?;
        if pieces.peek().is_none() {
            let handles = [pcr, sequence];
            return digests(&ask(tpm, EVENT_SEQUENCE_COMPLETE, &handles, &piece_sized)?);
        }
        ask(tpm, SEQUENCE_UPDATE, &[sequence], &piece_sized)?;
    }
    Ok(Vec::new())
}

/// Has `code` done. Of all commands here, each handle takes an authorisation. Returns the answer's handles
/// and parameters.
fn ask(
    tpm: &mut impl Transport,
    code: u32,
    handles: &[u32],
    parameters: &[u8],
) -> Result<Vec<u8>, TpmError> {
    let tag = if handles.is_empty() { PLAIN } else { AUTHORISED };
    let passwords = EMPTY_PASSWORD.repeat(handles.len());
    let mut body = code.to_be_bytes().to_vec();
    body.extend(handles.iter().flat_map(|handle| handle.to_be_bytes()));
    if !handles.is_empty() {
        body.extend(len_u32(passwords.len())?);
    }
    body.extend(passwords);
    body.extend(parameters);
    let mut command = tag.to_be_bytes().to_vec();
    command.extend(len_u32(body.len().saturating_add(6))?);
    command.append(&mut body);
    parameters_of(&tpm.exchange(&command)?, tag).map(<[u8]>::to_vec)
}

/// What an answer holds beyond its head, and what authorises it.
fn parameters_of(answer: &[u8], expected: u16) -> Result<&[u8], TpmError> {
    let mut rest = Reader(answer);
    let (tag, len, code) = (rest.u16()?, rest.u32()?, rest.u32()?);
    if usize::try_from(len) != Ok(answer.len()) {
        return Err(TpmError::Answer("it has another length than it says"));
    }
    match (code, tag == expected) {
        (0, true) => {}
        (0, false) => return Err(TpmError::Answer("it is one to another command")),
        (code, _) => return Err(TpmError::Refused(code)),
    }
    if tag == PLAIN {
        return Ok(rest.0);
    }
    let len = usize::try_from(rest.u32()?).map_err(|_wide| SHORT)?;
    rest.take(len)
}

/// The digests of an answer: `TPML_DIGEST_VALUES`.
fn digests(answer: &[u8]) -> Result<Digests, TpmError> {
    let mut rest = Reader(answer);
    (0..rest.count()?)
        .map(|_| {
            let algorithm = rest.u16()?;
            let len = digest_len(algorithm).ok_or(TpmError::Algorithm(algorithm))?;
            Ok((algorithm, rest.take(len)?.to_vec()))
        })
        .collect()
}

/// `data` behind its length.
fn sized(data: &[u8]) -> Result<Vec<u8>, TpmError> {
    let len = u16::try_from(data.len()).map_err(|_long| TpmError::TooLong)?;
    Ok([&len.to_be_bytes()[..], data].concat())
}

fn len_u32(len: usize) -> Result<[u8; 4], TpmError> {
    u32::try_from(len).map(u32::to_be_bytes).map_err(|_long| TpmError::TooLong)
}

const SHORT: TpmError = TpmError::Answer("it is too short");

/// What is left of an answer.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], TpmError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, TpmError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    fn u32(&mut self) -> Result<u32, TpmError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    /// How many elements a list has.
    fn count(&mut self) -> Result<u32, TpmError> {
        Some(self.u32()?)
            .filter(|count| *count <= BANKS_MAX)
            .ok_or(TpmError::Answer("a list is too long"))
    }
}
