//! What befalls a machine from outside, and what an operator does at its console.

use std::time::Duration;

use anyhow::{Context, ensure};
use tests::guests;
use tests::vm::{LIMIT, Vm};

use super::running::Running;
use super::{Result, Single};

/// How many files a reader waits for.
const READ: usize = 4;

impl Running<'_> {
    /// The cable is out for longer than NetworkManager, the most patient, waits before it believes
    /// that (five seconds); meanwhile a reader waits for contents, and gets them in the end.
    pub(crate) fn unplugged(&mut self, length: Duration) -> Result {
        self.vm.monitor("set_link net0 off")?;
        let carrier = "read c </sys/class/net/$i/carrier && [ $c =";
        self.vm.must(&format!("until {carrier} 0 ]; do :; done"), LIMIT)?;
        let wanted = self.reader_waits(length).context("the cable is out")?;
        self.vm.monitor("set_link net0 on")?;
        self.reader_has(&wanted).context("the cable was out")?;
        self.vm.must(&format!("until {carrier} 1 ]; do :; done"), LIMIT).map(drop)
    }

    /// The server is away, and all that ask for its contents wait, however long that is.
    pub(crate) fn outage(&mut self, length: Duration) -> Result {
        self.server = None;
        let wanted = self.reader_waits(length).context("the server is away")?;
        self.serve()?;
        self.reader_has(&wanted).context("the server was away")?;
        self.holds("the server was away")?;
        self.renews("the server was away")
    }

    /// A reader begins, and has got nothing after `length`. Returns what it must get in the end.
    fn reader_waits(&mut self, length: Duration) -> anyhow::Result<Vec<String>> {
        let numbers: Vec<usize> = (0..READ).map(|_| self.next()).collect();
        let files: Vec<String> = numbers.iter().map(|n| format!("/srv/fresh/{n:02}")).collect();
        // Several at once, and more load: what was read before goes on to be there.
        let load = "(until [ -s /run/sum ]; do cat /srv/written; sleep 1; done >/dev/null) & :";
        self.vm.must(load, LIMIT)?;
        for file in &files {
            self.vm.must(&format!("sha256sum {file} >>/run/sum 2>&1 & :"), LIMIT)?;
        }
        std::thread::sleep(length);
        self.vm.must("[ ! -s /run/sum ]", LIMIT).context("something was read all the same")?;
        numbers.into_iter().map(guests::sum).collect()
    }

    fn reader_has(&mut self, wanted: &[String]) -> Result {
        let got = self.vm.must("wait; cat /run/sum && rm /run/sum", LIMIT)?;
        for sum in wanted {
            ensure!(got.contains(sum), "no {sum} in\n{got}");
        }
        Ok(())
    }

    /// All services end and come again, the shell with them.
    pub(crate) fn single_user(&mut self, single: &Single) -> Result {
        self.vm.send(&format!("{}\n", single.enter))?;
        self.vm.wait_for("ress Enter for maintenance", LIMIT)?;
        // What is typed before it listens is lost.
        let enter = |vm: &mut Vm| vm.send("\n").is_ok() && vm.comes("# ", Duration::from_secs(5));
        (0..40).find(|_| enter(&mut self.vm)).context("no shell in single-user mode")?;
        self.vm.settle(LIMIT)?;
        self.know()?;
        self.holds(single.enter)?;
        self.vm.send(&format!("{}\n", single.leave))?;
        self.vm.log_in(LIMIT)?;
        self.know()?;
        self.holds(single.leave)?;
        self.renews(single.leave)
    }
}
