//! Sets the clock until the node is booted; from then on it is the booted system's.

use super::ntp;
use crate::aside;
use flist::date;
use flist::store::{Client, ClockHelp};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a server may take to tell its date.
const DATE_TIME: Duration = Duration::from_secs(5);

/// A difference that matters to nobody.
const CLOSE: Duration = Duration::from_secs(2);

/// The clock, as long as nobody else cares for it.
pub(crate) struct Keeper {
    /// The earliest time it can be: seconds since 1970.
    floor: i64,
    /// Whether it was behind that.
    was_behind: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Time servers, names or addresses.
    servers: Vec<String>,
    /// What was done about the clock.
    notes: Vec<String>,
    retired: bool,
}

impl Keeper {
    /// Takes over the clock. One that is behind what it must be, as this program and `epoch` have
    /// it, is set to that.
    pub(crate) fn new(epoch: Option<i64>) -> Arc<Self> {
        let floor = super::floor(epoch);
        let was_behind = super::seconds(super::now()) < floor;
        let keeper = Self { floor, was_behind, state: Mutex::default() };
        if was_behind {
            let old = super::text();
            let time = Duration::from_secs(u64::try_from(floor).unwrap_or(0));
            keeper.set(time, &format!("it was {old}, before zimg was built or zimg.epoch="));
        }
        Arc::new(keeper)
    }

    /// Names the time servers. Where the clock is surely wrong, or `asked` for, they are asked now,
    /// and the server of `url` if they are silent; nobody waits for that.
    pub(crate) fn network_is_up(
        self: &Arc<Self>,
        servers: Vec<String>,
        asked: bool,
        client: &Client,
        url: &str,
    ) {
        self.state().servers = servers;
        if !(self.was_behind || asked) {
            return;
        }
        let (keeper, client, url) = (Arc::clone(self), client.clone(), url.to_owned());
        let correct = move || {
            keeper.correct(&client, &url);
        };
        if let Err(e) = aside::start("clock", correct) {
            log::warn!("the clock is not set: {e}");
        }
    }

    /// What an HTTP client calls to where a certificate is out of its time.
    pub(crate) fn help(self: &Arc<Self>) -> ClockHelp {
        let keeper = Arc::clone(self);
        ClockHelp::new(move |client, url| keeper.correct(client, url))
    }

    /// Leaves the clock to the booted system.
    pub(crate) fn retire(&self) {
        self.state().retired = true;
    }

    /// What was done about the clock, for the screen.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.state().notes.clone()
    }

    /// Sets the clock by a time server, or else by the server of `url`. Whether it was changed.
    fn correct(&self, client: &Client, url: &str) -> bool {
        let servers = self.state().servers.clone();
        if self.state().retired {
            return false;
        }
        match ntp::ask(&servers) {
            Ok((told, server)) => return self.take(told.now(), &format!("NTP, by {server}")),
            Err(why) => why.iter().for_each(|why| self.note(format!("NTP: {why}"))),
        }
        match client.date(url, DATE_TIME) {
            Ok(seconds) => {
                let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                self.take(time, &format!("the Date that {url} gives"))
            }
            Err(e) => {
                self.note(format!("the server's Date: {}", e.fact()));
                false
            }
        }
    }

    /// Believes `time`, if it can be.
    fn take(&self, time: Duration, whose: &str) -> bool {
        let text = date::text(super::seconds(time));
        if super::seconds(time) < self.floor {
            self.note(format!("{whose}: {text} can't be: it is before zimg was built"));
            return false;
        }
        if time.abs_diff(super::now()) < CLOSE {
            self.note(format!("{whose}: it is right"));
            return false;
        }
        self.set(time, whose)
    }

    fn set(&self, time: Duration, why: &str) -> bool {
        let text = date::text(super::seconds(time));
        if self.state().retired {
            return false;
        }
        match super::set(time) {
            Ok(()) => self.note(format!("set to {text}: {why}")),
            Err(e) => self.note(format!("can't be set to {text}: {e}")),
        }
        true
    }

    fn note(&self, note: String) {
        let mut state = self.state();
        if !state.notes.contains(&note) {
            log::info!("clock: {note}");
            state.notes.push(note);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
