//! Decompresses what a reader that goes in order will want next, beside it, where there is a processor
//! for that.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::read::Assembler;
use crate::chunk::{Decompressor, Stored};

/// How many chunks may wait for it: what is further ahead may be in vain.
const WAITING: usize = 1;
const STACK: usize = 128 << 10;

/// A chunk's number, and its stored bytes.
type Next = (u32, Arc<Stored>);

/// The thread that does it; it ends with this.
pub(super) struct Ahead {
    send: Option<SyncSender<Next>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts it, unless there is but one processor.
    pub(super) fn where_it_helps(assembler: &Arc<Assembler>) -> Option<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        // Without it, readers decompress for themselves.
        let failed = |e: &io::Error| log::debug!("nothing is decompressed ahead: {e}");
        (processors > 1).then(|| Self::start(assembler).inspect_err(failed).ok()).flatten()
    }

    pub(super) fn start(assembler: &Arc<Assembler>) -> io::Result<Self> {
        let (send, receive) = sync_channel(WAITING);
        let assembler = Arc::clone(assembler);
        let thread = thread::Builder::new().name("ahead".into()).stack_size(STACK);
        let thread = thread.spawn(move || run(&assembler, &receive))?;
        Ok(Self { send: Some(send), thread: Some(thread) })
    }

    /// Has it decompress `next` unless it has enough to do.
    pub(super) fn want(&self, next: Next) {
        if let Some(send) = &self.send {
            // It asks again with the next read.
            let _ = send.try_send(next);
        }
    }
}

fn run(assembler: &Assembler, receive: &Receiver<Next>) {
    let Ok(mut zstd) = Decompressor::new() else { return };
    for (chunk, stored) in receive {
        // Whoever reads it hears what is wrong with it.
        let _ = assembler.plain.get(chunk, &stored, &mut zstd);
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.send = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that decompresses ahead has panicked");
        }
    }
}
