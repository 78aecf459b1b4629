//! How long each stage of the boot took, and the line that sums it up.

use crate::kmsg;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// The stages that are done, in order, each with its time.
#[derive(Debug)]
pub(crate) struct Marks {
    done: Vec<(String, Duration)>,
    since: Instant,
    start: Duration,
}

impl Marks {
    /// Begins to count, now.
    pub(crate) fn start() -> Self {
        Self { done: Vec::new(), since: Instant::now(), start: uptime() }
    }

    /// `name` is done: it took from the last mark until now. Says so in the kernel log, not on
    /// the consoles: a serial one takes milliseconds a line.
    pub(crate) fn mark(&mut self, name: &str) {
        let took = self.since.elapsed();
        self.note(name, took);
    }

    /// `name` is done and took `took`, as somebody else measured it.
    pub(crate) fn note(&mut self, name: &str, took: Duration) {
        kmsg::keep(&format!("{name} {} ms", took.as_millis()));
        self.done.push((name.to_owned(), took));
        self.since = Instant::now();
    }

    /// The whole boot on one line: `boot: 391 ms (kernel 812 ms before): start 2 ms, ...`.
    pub(crate) fn summary(&self) -> String {
        line(self.start, uptime().saturating_sub(self.start), &self.done)
    }
}

fn line(kernel: Duration, ours: Duration, done: &[(String, Duration)]) -> String {
    let stages: Vec<String> =
        done.iter().map(|(name, took)| format!("{name} {} ms", took.as_millis())).collect();
    format!(
        "boot: {} ms (kernel {} ms before): {}",
        ours.as_millis(),
        kernel.as_millis(),
        stages.join(", ")
    )
}

/// The time since the kernel started.
pub(crate) fn uptime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_every_stage() {
        let ms = Duration::from_millis;
        let done = [("network".to_owned(), ms(84)), ("flist".to_owned(), ms(12))];
        assert_eq!(
            line(ms(812), ms(120), &done),
            "boot: 120 ms (kernel 812 ms before): network 84 ms, flist 12 ms"
        );
    }

    #[test]
    fn marks_are_kept_in_order() {
        let mut marks = Marks::start();
        marks.mark("a");
        marks.note("b", Duration::from_millis(5));
        let names: Vec<&str> = marks.done.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(marks.summary().ends_with("b 5 ms"));
    }
}
