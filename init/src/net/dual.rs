//! Both families on one link. Whichever has an address first is taken; the other is waited for only
//! where it has answered already, and then not for long: it can be taken along later.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::acquire::{Acquire, Event, Grant, Step};
use super::dhcp::lease::Lease;
use super::link::{IfName, Mac};
use super::six::{Progress, Six, Station};
use super::spec::Request;

/// How long the second family is waited for, where it has answered.
const GRACE: Duration = Duration::from_millis(150);

/// The way to addresses of both families on one link.
#[derive(Debug)]
pub(super) struct Dual {
    four: Option<Acquire>,
    six: Option<Station>,
    /// When the first of them had an address.
    first: Option<Instant>,
}

impl Dual {
    /// Begins with the families that `request` wants; `seed` is random.
    pub(super) fn begin(
        (index, name, mac): (u32, &IfName, Mac),
        request: &Request,
        seed: u32,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Self, Errno> {
        let method = request.method;
        let wants_four = Acquire::is_wanted(method);
        let four = wants_four.then(|| Acquire::begin(index, mac, request, seed, now, tell));
        let four = four.transpose()?;
        let wants_six = Station::is_wanted(method);
        let six = wants_six.then(|| Station::begin((index, name, mac), method, seed, now));
        let six = match six.transpose() {
            Ok(six) => six,
            // A kernel without IPv6, or one that has it switched off.
            Err(error) if four.is_some() => {
                tell(Event::NoSix(error));
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self { four, six, first: None })
    }

    /// Reads what came in and sends what is due.
    pub(super) fn step(
        &mut self,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Step, Errno> {
        let four = self.four.as_mut().map(|four| four.step(now, tell)).transpose()?;
        let six = self.six.as_mut().map(|six| six.step(now, tell)).transpose()?;
        let (progress, wake_six) = six.unwrap_or((Progress::Nothing, None));
        if let Progress::Conflict(address, holder) = progress {
            return Ok(Step::Conflict(address.into(), holder));
        }
        let (has_four, wake_four) = match four {
            Some(Step::Wait(wake)) => (false, wake),
            Some(Step::Ready) => (true, None),
            Some(conflict @ Step::Conflict(..)) => return Ok(conflict),
            None => (false, None),
        };
        let wake = wake_four.into_iter().chain(wake_six).min();
        let has_six = progress == Progress::Ready;
        if !has_four && !has_six {
            return Ok(Step::Wait(wake));
        }
        let until = *self.first.get_or_insert(now) + GRACE;
        let four_comes = !has_four && self.four.as_ref().is_some_and(Acquire::is_promising);
        let six_comes =
            progress == Progress::Nothing && self.six.as_ref().is_some_and(Station::is_promising);
        if (four_comes || six_comes) && now < until {
            return Ok(Step::Wait(wake.into_iter().chain([until]).min()));
        }
        Ok(Step::Ready)
    }

    /// What was come to; the link is going to be used.
    pub(super) fn outcome(&mut self) -> (Option<Lease>, Option<Six>) {
        let lease = match self.four.as_ref().and_then(Acquire::grant) {
            Some(Grant::Lease(lease)) => Some(lease.clone()),
            Some(Grant::Static(_)) | None => None,
        };
        if let Some(six) = &mut self.six {
            six.settle();
        }
        (lease, self.six.as_ref().map(Station::outcome))
    }

    /// The link is not going to be used.
    pub(super) fn give_back(&mut self) {
        if let Some(six) = &mut self.six {
            six.give_back();
        }
    }

    /// The messages that were sent.
    pub(super) fn sent(&self) -> u32 {
        let four = self.four.as_ref().map_or(0, Acquire::sent);
        four + self.six.as_ref().map_or(0, Station::sent)
    }

    /// Asks once more: what was sent before may have been lost in the kernel.
    pub(super) fn nudge(&mut self, now: Instant) {
        if let Some(four) = &mut self.four {
            four.nudge(now);
        }
        if let Some(six) = &mut self.six {
            six.nudge(now);
        }
    }

    /// The sockets to listen on.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let four = self.four.iter().flat_map(Acquire::sockets);
        four.chain(self.six.iter().flat_map(Station::sockets))
    }
}
