use super::*;
use std::collections::VecDeque;

/// Commands of another program, and a TPM's answers.
const DIALOGUE: &str = include_str!("tpm2-tools.txt");

/// A TPM that answers as another did, if it is asked the same.
struct Replay(VecDeque<(Vec<u8>, Vec<u8>)>);

/// Where a command of ours may differ: `PCR_Event` and the end of a sequence are authorised by HMAC there.
fn comparable(command: &[u8]) -> (&[u8], Vec<u8>) {
    let code = &command[6..10];
    let tail = if matches!(code, [0, 0, 1, 0x3c] | [0, 0, 1, 0x85]) {
        let handles = if code[3] == 0x3c { 4 } else { 8 };
        let at = 10 + handles;
        let auth = u32::from_be_bytes(command[at..at + 4].try_into().unwrap()) as usize;
        [&command[10..at], &command[at + 4 + auth..]].concat()
    } else {
        command.to_vec()
    };
    (code, tail)
}

impl Transport for Replay {
    fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let len = u32::from_be_bytes(command[2..6].try_into().unwrap()) as usize;
        assert_eq!(len, command.len());
        let (want, answer) = self.0.pop_front().unwrap();
        assert_eq!(comparable(command), comparable(&want));
        Ok(answer)
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn dialogue() -> VecDeque<(Vec<u8>, Vec<u8>)> {
    let lines = DIALOGUE.lines().filter(|line| !line.starts_with('#'));
    let mut lines = lines.filter_map(|line| line.split_once(' '));
    let mut dialogue = VecDeque::new();
    while let (Some((">", command)), Some(("<", answer))) = (lines.next(), lines.next()) {
        dialogue.push_back((unhex(command), unhex(answer)));
    }
    assert_eq!(dialogue.len(), 5);
    dialogue
}

fn long() -> Vec<u8> {
    vec![b'x'; 1082]
}

#[test]
fn commands_are_those_of_others_and_the_log_holds_what_the_tpm_answers() {
    let mut measuring = Measuring::begin(Replay(dialogue())).unwrap();
    let header = measuring.log.bytes().len();
    assert_eq!(header, 32 + 16 + 8 + 4 + 4 * 4 + 1);
    measuring.event("root-hash", b"00112233").unwrap();
    // What `sha256sum` and `sha1sum` print of the data.
    let log = measuring.log.bytes();
    let event = &log[header..];
    assert_eq!(&event[..12], &[13, 0, 0, 0, 13, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(event[12..34], *[&[4, 0][..], &unhex(SHA1)].concat());
    assert_eq!(event[34..68], *[&[11, 0][..], &unhex(SHA256)].concat());
    assert!(event.ends_with(b"\x17\0\0\0zimg root-hash 00112233"));
    measuring.event("command-line", &long()).unwrap();
    assert!(measuring.log.bytes().ends_with(&long()));
    assert!(measuring.tpm.0.is_empty());
}

const SHA1: &str = "a19f30638f6b7c58446304886735b344a087f1a8";
const SHA256: &str = "cbcbab998b0e10b021d64c46382bf1948d0da720e52be074124ea3e46eab2afd";

/// The same dialogue with one answer changed.
fn with(change: usize, answer: Vec<u8>) -> Result<(), TpmError> {
    let mut dialogue = dialogue();
    dialogue[change].1 = answer;
    let mut measuring = Measuring::begin(Replay(dialogue))?;
    measuring.event("root-hash", b"00112233")?;
    measuring.event("command-line", &long())
}

#[test]
fn every_answer_cut_short_is_an_error() {
    for (at, (_, answer)) in dialogue().into_iter().enumerate() {
        assert!(with(at, answer.clone()).is_ok(), "the control");
        for len in 0..answer.len() {
            assert!(with(at, answer[..len].to_vec()).is_err(), "{at}: {len}");
            // Also where the length in its head is right. What is left out may be what authorises it.
            let mut short = answer[..len].to_vec();
            if let Some(field) = short.get_mut(2..6) {
                field.copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
                let _ = with(at, short);
            }
        }
    }
}

#[test]
fn a_refusal_is_told_by_its_code() {
    // TPM_RC_LOCALITY.
    let refusal = unhex("80010000000a00000907");
    for at in 0..dialogue().len() {
        assert!(matches!(with(at, refusal.clone()), Err(TpmError::Refused(0x907))), "{at}");
    }
    assert!(matches!(with(1, unhex("80010000000a00000000")), Err(TpmError::Answer(_))));
}

#[test]
fn banks_that_lack_the_register_are_left_out() {
    let mut dialogue = dialogue();
    // SHA-1 has no PCR 8 to 15.
    let answer = &mut dialogue[0].1;
    let at = answer.windows(6).position(|w| w == [0, 4, 3, 0xff, 0xff, 0xff]).unwrap();
    answer[at + 4] = 0;
    let mut measuring = Measuring::begin(Replay(dialogue)).unwrap();
    measuring.event("root-hash", b"00112233").unwrap();
    let log = measuring.log.bytes();
    assert!(!log.windows(20).any(|w| w == unhex(SHA1)));
    assert!(log.windows(32).any(|w| w == unhex(SHA256)));
}

#[test]
fn a_tpm_without_the_register_measures_nothing() {
    let mut dialogue = dialogue();
    let answer = &mut dialogue[0].1;
    // Of each bank's three bytes of registers the second.
    let ends =
        (0..answer.len()).filter(|at| answer[..*at].ends_with(&[3, 0xff])).collect::<Vec<_>>();
    assert_eq!(ends.len(), 4);
    ends.iter().for_each(|at| answer[*at] = 0);
    assert!(matches!(Measuring::begin(Replay(dialogue)), Err(TpmError::NoBank)));
}

#[test]
fn a_bank_whose_digest_is_not_told_is_an_error() {
    let mut answer = dialogue()[1].1.clone();
    // The first digest is said to be by SM3, which is none of the banks.
    answer[18..20].copy_from_slice(&[0, 0x12]);
    assert!(with(1, answer).is_err());
    let mut answer = dialogue()[1].1.clone();
    answer[18..20].copy_from_slice(&[0, 0x77]);
    assert!(matches!(with(1, answer), Err(TpmError::Algorithm(0x77))));
}
