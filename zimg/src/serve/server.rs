//! Accepts clients, a thread each up to a bound, and ends in good order.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::Resource;

use super::connection::{Connection, Limits, Shared};
use super::tree::Tree;

/// Clients beyond those served, who are told to come again; more than these are hung up on.
const MAX_REFUSED: usize = 64;
/// Clients that may wait to be accepted; the kernel's `somaxconn` bounds it further.
const BACKLOG: i32 = 4096;
/// Two descriptors a client (its socket, its file), and some for all else.
const SPARE_FILES: u64 = 64;
/// A thread holds a request and a response, each bounded and mostly on the heap.
const STACK: usize = 256 << 10;
/// How long responses under way may take once the server is to end.
const GRACE: Duration = Duration::from_secs(3);
/// After a failed accept, which is for want of some resource.
const PAUSE: Duration = Duration::from_millis(50);

/// The limits in earnest.
pub(super) const LIMITS: Limits = Limits {
    clients: 4096,
    idle: Duration::from_secs(75),
    head: Duration::from_secs(10),
    stall: Duration::from_secs(30),
};

/// A listening server.
pub(super) struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    clients: Arc<Clients>,
    max_clients: usize,
}

impl Server {
    /// Serves `tree` on `listener`, once it is `run`.
    pub(super) fn new(
        listener: TcpListener,
        tree: Tree,
        limits: Limits,
        quiet: bool,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // std asks for 128; a fleet that boots at once would wait a second and more to try again.
        rustix::net::listen(&listener, BACKLOG)?;
        let shared = Shared { tree, limits, quiet, stopping: AtomicBool::new(false) };
        Ok(Self {
            listener,
            shared: Arc::new(shared),
            clients: Arc::default(),
            max_clients: limits.clients.min(clients_by_files()),
        })
    }

    /// Serves until `stop` is readable, then lets responses under way end, within `GRACE`.
    pub(super) fn run(self, stop: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let mut waits = [
                PollFd::new(&self.listener, PollFlags::IN),
                PollFd::from_borrowed_fd(stop, PollFlags::IN),
            ];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut waits, None))?;
            let [listener, stop] = waits.map(|w| !w.revents().is_empty());
            if stop {
                break;
            }
            if listener {
                self.accept();
            }
        }
        drop(self.listener);
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.clients.dismiss(GRACE);
        Ok(())
    }

    fn accept(&self) {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    complain(&format!("cannot accept a connection: {error}"));
                    thread::sleep(PAUSE);
                    return;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let (client, count) = Clients::enter(&self.clients, stream);
        if count > self.max_clients + MAX_REFUSED {
            return;
        }
        let welcome = count <= self.max_clients;
        let shared = Arc::clone(&self.shared);
        let serve = move || {
            let buffer = Vec::new();
            Connection { stream: &client.stream, peer, shared: &shared, buffer }.run(welcome);
        };
        if let Err(error) = thread::Builder::new().stack_size(STACK).spawn(serve) {
            complain(&format!("cannot serve {peer}: {error}"));
        }
    }
}

/// Raises the limit of open files to what is allowed, and says how many clients that allows.
fn clients_by_files() -> usize {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if rustix::process::setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let files = limit.current.unwrap_or(u64::MAX).saturating_sub(SPARE_FILES) / 2;
    usize::try_from(files).unwrap_or(usize::MAX).max(1)
}

fn complain(text: &str) {
    // Where stderr can't be written there is nobody to tell; serving goes on.
    let _ = writeln!(io::stderr().lock(), "zimg: {text}");
}

/// The clients there are.
#[derive(Default)]
struct Clients {
    table: Mutex<Table>,
    left: Condvar,
}

#[derive(Default)]
struct Table {
    next: u64,
    streams: HashMap<u64, Arc<TcpStream>>,
}

/// One client's place among them, given up when dropped.
struct Client {
    clients: Arc<Clients>,
    number: u64,
    stream: Arc<TcpStream>,
}

impl Clients {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client; says how many there are now.
    fn enter(clients: &Arc<Self>, stream: TcpStream) -> (Client, usize) {
        let stream = Arc::new(stream);
        let mut table = clients.table();
        let number = table.next;
        table.next += 1;
        table.streams.insert(number, Arc::clone(&stream));
        let count = table.streams.len();
        drop(table);
        (Client { clients: Arc::clone(clients), number, stream }, count)
    }

    /// Ends all that only wait for a request, and waits for the others to get their answer.
    fn dismiss(&self, grace: Duration) {
        let table = self.table();
        for stream in table.streams.values() {
            // Fails only where the client has gone already.
            let _ = stream.shutdown(Shutdown::Read);
        }
        // Whether all have left or the time is up: the end of the process ends the rest.
        drop(self.left.wait_timeout_while(table, grace, |table| !table.streams.is_empty()));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.clients.table().streams.remove(&self.number);
        self.clients.left.notify_all();
    }
}
