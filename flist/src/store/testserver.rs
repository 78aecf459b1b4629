//! For tests: an HTTP server that serves files by range, except where a script says what bytes to
//! send instead.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A connection, plain or TLS.
pub(super) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Turns an accepted connection into the one spoken HTTP on.
type Wrap = dyn Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync;

/// Does with a request what it likes. Returns whether the connection stays open.
pub(super) type Act = Box<dyn FnOnce(&Asked, &mut dyn Stream) -> bool + Send>;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: HashMap<String, String>,
    /// Which connection, from 0.
    pub(super) connection: usize,
}

impl Asked {
    /// First and last byte of the range asked for, if one was.
    pub(super) fn range(&self) -> Option<(usize, usize)> {
        let range = self.headers.get("range")?.strip_prefix("bytes=").unwrap();
        let (first, last) = range.split_once('-').unwrap();
        Some((first.parse().unwrap(), last.parse().unwrap()))
    }
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    files: Mutex<HashMap<String, Vec<u8>>>,
    script: Mutex<VecDeque<Act>>,
    asked: Mutex<Vec<Asked>>,
    wrap: Box<Wrap>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(Box::new(|stream| Some(Box::new(stream))))
    }

    pub(super) fn with(wrap: Box<Wrap>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            files: Mutex::default(),
            script: Mutex::default(),
            asked: Mutex::default(),
            wrap,
        });
        let server = Self { address, shared };
        let serving = server.clone();
        // Ends with the test process.
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let serving = serving.clone();
                thread::spawn(move || serving.connection(stream.unwrap(), connection));
            }
        });
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.files.lock().unwrap().insert(path.into(), bytes.into());
    }

    /// What to do with the next request without a script yet.
    pub(super) fn then(&self, act: impl FnOnce(&Asked, &mut dyn Stream) -> bool + Send + 'static) {
        self.shared.script.lock().unwrap().push_back(Box::new(act));
    }

    /// Sends these bytes to the next request, and leaves the connection open or not.
    pub(super) fn send(&self, bytes: impl Into<Vec<u8>>, open: bool) {
        let bytes = bytes.into();
        self.then(move |_, stream| stream.write_all(&bytes).is_ok() && open);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    fn connection(&self, stream: TcpStream, connection: usize) {
        let Some(stream) = (self.shared.wrap)(stream) else { return };
        let mut stream = BufReader::new(stream);
        while let Some(asked) = read_request(&mut stream, connection) {
            self.shared.asked.lock().unwrap().push(asked.clone());
            let act = self.shared.script.lock().unwrap().pop_front();
            let open = match act {
                Some(act) => act(&asked, stream.get_mut()),
                None => self.serve(&asked, stream.get_mut()),
            };
            if !open {
                return;
            }
        }
    }

    /// As a server should.
    fn serve(&self, asked: &Asked, stream: &mut dyn Stream) -> bool {
        let file = self.shared.files.lock().unwrap().get(&asked.path).cloned();
        let Some(file) = file else {
            let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nabsent";
            return stream.write_all(answer.as_bytes()).is_ok();
        };
        let len = file.len();
        let (head, body) = match asked.range() {
            Some((first, last)) => (
                format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{len}"),
                &file[first..=last],
            ),
            None => ("200 OK".to_owned(), &file[..]),
        };
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).is_ok() && stream.write_all(body).is_ok()
    }
}

fn read_request(stream: &mut impl BufRead, connection: usize) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => return Some(Asked { path, headers, connection }),
        };
    }
}
