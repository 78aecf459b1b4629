//! Whether a store has the image's contents. Asked before the mount, and for no longer than the
//! boot may take: once the image is mounted, a store that lacks them is waited for without end.

use crate::aside;
use crate::failure::{Failure, OrFail, Stage, chain};
use crate::image::answers;
use flist::chunk::{Chunk, Corrupt};
use flist::image::Pack;
use flist::store::{Store, StoreError};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// The wait between two rounds over all stores.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a store does not give what it is asked for.
#[derive(Debug, Clone, thiserror::Error)]
enum Refusal {
    #[error("{}", .0.fact())]
    Store(StoreError),
    #[error("{store} serves wrong bytes: {corrupt}")]
    Corrupt { store: String, corrupt: Corrupt },
}

impl Refusal {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Store(error) if error.may_pass())
    }

    fn fix(&self) -> &'static str {
        match self {
            Self::Store(error) => error.advice(),
            Self::Corrupt { .. } => "publish the image's packs again",
        }
    }
}

/// Gets `chunk`, which lies in `pack`, from the first of `stores` that has it.
///
/// What may pass is tried again until `deadline`. Once every store says that it has no such pack,
/// or something else than the chunk, that is told at once.
pub(crate) fn probe(
    pack: Pack,
    chunk: Chunk,
    stores: &[Arc<dyn Store>],
    deadline: Instant,
) -> Result<(), Failure> {
    let (send, answers) = mpsc::channel();
    let asked = stores.to_vec();
    // On a thread of its own, so that no store that trickles holds the boot up beyond its time.
    aside::start("probe", move || ask(&pack, &chunk, &asked, &send)).or_fail(
        Stage::Store,
        "start asking the stores",
        "give the machine more memory",
    )?;
    let (mut round, mut last) = (Vec::new(), Vec::new());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match answers.recv_timeout(left) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(refusal)) => round.push(refusal),
            Err(_time_is_up) => {
                let told = if round.is_empty() { last } else { round };
                return Err(failure(&told, stores));
            }
        }
        if round.len() == stores.len() {
            if !round.iter().any(Refusal::may_pass) {
                return Err(failure(&round, stores));
            }
            if let (true, Some(first)) = (last.is_empty(), round.first()) {
                log::warn!("{first}; trying again");
            }
            last = std::mem::take(&mut round);
        }
    }
}

/// Asks all stores in turn until one has it, or nobody listens any more.
fn ask(
    pack: &Pack,
    chunk: &Chunk,
    stores: &[Arc<dyn Store>],
    answers: &Sender<Result<(), Refusal>>,
) {
    loop {
        for store in stores {
            let answer = ask_one(pack, chunk, &**store);
            let is_there = answer.is_ok();
            if answers.send(answer).is_err() || is_there {
                return;
            }
        }
        thread::sleep(PAUSE);
    }
}

fn ask_one(pack: &Pack, chunk: &Chunk, store: &dyn Store) -> Result<(), Refusal> {
    let bytes = store.fetch(pack, chunk.range()).map_err(Refusal::Store)?;
    let corrupt = |corrupt| Refusal::Corrupt { store: store.name().to_owned(), corrupt };
    chunk.verify(bytes).map(|_stored| ()).map_err(corrupt)
}

fn failure(refusals: &[Refusal], stores: &[Arc<dyn Store>]) -> Failure {
    let mut failure = match refusals.first() {
        Some(refusal) => {
            let what = format!("the image's contents can't be had: {}", chain(refusal));
            Failure::new(Stage::Store, what, refusal.fix())
        }
        None => Failure::new(
            Stage::Store,
            "no store gave any of the image's contents in time",
            "check the servers, and what lies between; a longer zimg.timeout= gives them more time",
        ),
    };
    for store in stores {
        failure = failure.fact("store", store.name());
    }
    refusals.iter().fold(failure, |failure, refusal| match refusal {
        Refusal::Store(error) => answers(failure, error),
        Refusal::Corrupt { .. } => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flist::id::{ChunkId, PackId};
    use flist::store::{Body, Unreachable};
    use std::ops::Range;
    use std::sync::Mutex;

    const CONTENTS: &[u8] = b"contents";

    /// Answers by its script, and by its last line for ever.
    struct Scripted {
        script: Mutex<Vec<Result<Vec<u8>, StoreError>>>,
        wait: Duration,
    }

    impl Store for Scripted {
        fn name(&self) -> &str {
            "http://h/"
        }

        fn open(&self, _: &Pack, _: Range<u64>) -> Result<Box<dyn Body + '_>, StoreError> {
            Err(away())
        }

        fn fetch(&self, _: &Pack, _: Range<u64>) -> Result<Vec<u8>, StoreError> {
            thread::sleep(self.wait);
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.remove(0) } else { script[0].clone() }
        }
    }

    fn store(
        script: impl IntoIterator<Item = Result<Vec<u8>, StoreError>>,
        wait: Duration,
    ) -> Arc<dyn Store> {
        Arc::new(Scripted { script: Mutex::new(script.into_iter().collect()), wait })
    }

    fn away() -> StoreError {
        let place = "http://h/packs/1".to_owned();
        StoreError::Unreachable { place, addresses: Vec::new(), cause: Unreachable::Refused }
    }

    fn missing() -> StoreError {
        StoreError::Missing { place: "http://h/packs/1".to_owned(), status: Some(404) }
    }

    fn try_for(stores: &[Arc<dyn Store>], time: Duration) -> Result<(), Failure> {
        let len = u32::try_from(CONTENTS.len()).unwrap();
        let chunk = Chunk { id: ChunkId::of(CONTENTS), pack: 0, stored_len: len, len, offset: 0 };
        let pack = Pack { id: PackId::of(CONTENTS), len: u64::from(len) };
        probe(pack, chunk, stores, Instant::now() + time)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_store_that_has_it_is_enough() {
        let lacks = store([Err(missing())], Duration::ZERO);
        let has = store([Ok(CONTENTS.to_vec())], Duration::ZERO);
        try_for(&[lacks, has], LONG).unwrap();
    }

    #[test]
    fn what_is_not_there_is_told_at_once() {
        let began = Instant::now();
        let failure = try_for(&[store([Err(missing())], Duration::ZERO)], LONG).unwrap_err();
        assert!(began.elapsed() < LONG / 2);
        assert_eq!(failure.stage, Stage::Store);
        assert!(failure.what.contains("http://h/packs/1 is not there"), "{}", failure.what);
        assert!(failure.facts.contains(&("answer".to_owned(), "HTTP status 404".to_owned())));
    }

    #[test]
    fn wrong_bytes_are_no_contents() {
        let failure = try_for(&[store([Ok(b"CONTENTS".to_vec())], Duration::ZERO)], LONG);
        assert!(failure.unwrap_err().what.contains("wrong bytes"));
    }

    #[test]
    fn an_outage_is_waited_for() {
        let store = store([Err(away()), Ok(CONTENTS.to_vec())], Duration::ZERO);
        try_for(&[store], LONG).unwrap();
    }

    #[test]
    fn an_outage_that_lasts_is_told_in_time() {
        let limit = Duration::from_millis(200);
        let refuses = store([Err(away())], Duration::ZERO);
        let failure = try_for(&[refuses], limit).unwrap_err();
        assert!(failure.what.contains("connection refused"), "{}", failure.what);
        let hangs = store([Ok(CONTENTS.to_vec())], Duration::from_secs(5));
        let began = Instant::now();
        let failure = try_for(&[hangs], limit).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(4));
        assert!(failure.what.contains("in time"), "{}", failure.what);
    }
}
