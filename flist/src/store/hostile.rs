//! A server that means harm: nothing that it sends is believed, nothing makes a client wait or take in
//! without end, and an operator is told what it did, in the words that ATTACKS.md shows.

mod attacks;

use std::sync::Arc;
use std::time::Duration;

use super::http::Http;
use super::testserver::Server;
use super::*;
use crate::format;
use crate::id::RootHash;
use crate::store::testing::{Fixture, options};
use crate::trust::Policy;
use attacks::{ATTACKS, Answer, Attack};

/// What is shown of the attacks.
const DOCUMENT: &str = include_str!("../../ATTACKS.md");

/// Where they are shown: one after the other, each with what is said of an flist and of a pack.
fn shown() -> Vec<(&'static str, &'static str, &'static str)> {
    let start = "| what the server does | with an flist | with a pack |\n|---|---|---|\n";
    let (_, rows) = DOCUMENT.split_once(start).expect("ATTACKS.md shows them");
    let rows = rows.lines().map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        (cells[0], cells[1], cells[2])
    })
    .collect()
}

/// A client with little patience.
fn client() -> Client {
    let stall_timeout = Duration::from_millis(1500);
    Client::new(ClientOptions { stall_timeout, ..ClientOptions::default() }).unwrap()
}

/// An image of one pack, and a server that attacks whoever asks.
struct Trap {
    fixture: Fixture,
    flist: Vec<u8>,
    server: Server,
}

impl Trap {
    fn new(attack: Attack) -> Self {
        let fixture = Fixture::new(1, 6, 20_000);
        let flist = format::encode(&fixture.image).unwrap();
        let server = Server::start();
        let (id, pack) = fixture.packs.iter().next().unwrap();
        server.put("/a.flist", flist.clone());
        server.put(&format!("/packs/{id}"), pack.clone());
        // More than anybody asks.
        for number in 0..100 {
            let (flist, pack) = (flist.clone(), pack.clone());
            server.then(move |asked, stream| {
                let file = if asked.path == "/a.flist" { flist } else { pack };
                attack(&Answer::to(asked, file, number), stream)
            });
        }
        Self { fixture, flist, server }
    }

    /// What is said of an attack by the flist.
    fn load(&self) -> String {
        let location = [Location::Url(self.server.url("/a.flist"))];
        let policy = Policy::of_hash(RootHash::of(&self.flist));
        let first_wait = Duration::from_millis(1);
        let options = LoadOptions { first_wait, max_len: 1 << 20, ..LoadOptions::default() };
        match load(&client(), &location, &policy, &options) {
            Ok(loaded) => {
                assert_eq!(loaded.image, *self.fixture.image);
                "-".into()
            }
            Err(error) => self.plain(&error.to_string()),
        }
    }

    /// What is said of an attack by packs: of one chunk in the midst.
    fn fetch(&self) -> String {
        match self.ask(&[&self.server]) {
            Ok(()) => "-".into(),
            Err(error) => self.plain(&error.to_string()),
        }
    }

    /// Asks these servers for a chunk, the first one first.
    fn ask(&self, servers: &[&Server]) -> Result<(), FetchError> {
        let store =
            |server: &&Server| Arc::new(Http::new(client(), server.url("/"))) as Arc<dyn Store>;
        let mirrors = Mirrors::new(servers.iter().map(store).collect()).unwrap();
        let options =
            FetchOptions { patience: Patience::Rounds(1), corrupt_rounds: 1, ..options() };
        let fetcher = Fetcher::new(Arc::clone(&self.fixture.image), mirrors, options).unwrap();
        self.fixture.check(&[3], &fetcher.wait(&[3])?);
        Ok(())
    }

    /// The message as in the document, without what differs from one image to the next.
    fn plain(&self, message: &str) -> String {
        let pack = format!("packs/{}", self.fixture.image.packs()[0].id);
        let urls = ["a.flist", &pack].map(|file| self.server.url(&format!("/{file}")));
        let text = urls.iter().find_map(|url| message.strip_prefix(url.as_str()));
        let text = text.unwrap_or(message).trim_start_matches([':', ' ']);
        let mut text = text.replace(&RootHash::of(&self.flist).to_string(), "HASH");
        for chunk in self.fixture.image.chunks() {
            text = text.replace(&chunk.id.to_string(), "CHUNK");
        }
        let words = text.split(' ').map(|word| {
            let (word, end) = word.split_at(word.trim_end_matches([',', ';', ')']).len());
            let is_hash = word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
            let word = match word.parse::<u64>() {
                _ if is_hash => "OTHER",
                // Depends on how much came at a time.
                Ok(bytes) if bytes > 65_536 && text.contains("> 65536") => "MORE",
                _ => word,
            };
            format!("{word}{end}")
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn each_attack_fails_and_is_told() {
    let seen: Vec<_> = std::thread::scope(|scope| {
        let tries = ATTACKS.map(|(name, attack)| {
            scope.spawn(move || {
                let flist = Trap::new(attack).load();
                let trap = Trap::new(attack);
                let pack = trap.fetch();
                // A mirror that is honest makes up for it.
                let honest = Server::start();
                for (id, bytes) in &trap.fixture.packs {
                    honest.put(&format!("/packs/{id}"), bytes.clone());
                }
                trap.ask(&[&trap.server, &honest]).unwrap_or_else(|e| panic!("{name}: {e}"));
                (name, flist, pack)
            })
        });
        tries.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let shown = shown();
    let table: String = seen.iter().map(|(a, b, c)| format!("| {a} | {b} | {c} |\n")).collect();
    let same = seen.len() == shown.len()
        && seen.iter().zip(shown).all(|((a, b, c), shown)| (&**a, &**b, &**c) == shown);
    assert!(same, "ATTACKS.md should show:\n{table}");
}
