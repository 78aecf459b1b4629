//! A body on its way: bounded by what was announced, given up when it stalls or trickles.

use std::io::Read;
use std::ops::Range;
use std::time::Instant;

use ureq::BodyReader;
use ureq::http::Response;

use super::Client;
use crate::store::{Body, Fault, Stage, StoreError, Unreachable};

/// The most that is read at a time where it is not known how much will come.
const BLOCK: usize = 1 << 16;

pub(super) struct Reader<'a> {
    client: &'a Client,
    place: String,
    reader: BodyReader<'static>,
    block: Vec<u8>,
    /// Since when, and how many bytes have come since.
    pace: (Instant, u64),
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a Client, place: &str, response: Response<ureq::Body>) -> Self {
        let reader = response.into_body().into_reader();
        Self {
            client,
            place: place.to_owned(),
            reader,
            block: Vec::new(),
            pace: (Instant::now(), 0),
        }
    }

    /// Reads what is there; 0 at the end.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, StoreError> {
        let read = self.reader.read(buf);
        let read = read.map_err(|e| self.client.explain(e.into(), &self.place, Stage::Body))?;
        self.keep_pace(read as u64)?;
        Ok(read)
    }

    /// The next bytes; none at the end.
    pub(super) fn next_block(&mut self) -> Result<&[u8], StoreError> {
        let mut block = std::mem::take(&mut self.block);
        block.resize(BLOCK, 0);
        let read = self.read(&mut block);
        self.block = block;
        Ok(self.block.get(..read?).unwrap_or_default())
    }

    fn keep_pace(&mut self, read: u64) -> Result<(), StoreError> {
        let window = self.client.pace().stall;
        let (since, bytes) = (self.pace.0, self.pace.1 + read);
        self.pace.1 = bytes;
        if since.elapsed() < window {
            return Ok(());
        }
        self.pace = (Instant::now(), 0);
        if u128::from(bytes) * 1000 < u128::from(self.client.pace().slowest) * window.as_millis() {
            let cause = Unreachable::TimedOut { stage: Stage::Body, after: window };
            return Err(StoreError::Unreachable {
                place: self.place.clone(),
                addresses: Vec::new(),
                cause,
            });
        }
        Ok(())
    }
}

/// Bytes of a pack from a server.
pub(super) struct HttpBody<'a> {
    reader: Reader<'a>,
    total: u64,
    remaining: Range<u64>,
    /// The end is known without asking for it, so the connection can be used again.
    delimited: bool,
}

impl<'a> HttpBody<'a> {
    pub(super) fn new(
        client: &'a Client,
        place: String,
        response: Response<ureq::Body>,
        sent: Range<u64>,
    ) -> Self {
        let delimited = response.body().content_length().is_some();
        let reader = Reader::new(client, &place, response);
        Self { reader, total: sent.end - sent.start, remaining: sent, delimited }
    }

    fn short(&self) -> StoreError {
        let got = self.total - (self.remaining.end - self.remaining.start);
        let fault = Fault::Short { got, want: self.total };
        StoreError::Protocol { place: self.reader.place.clone(), fault }
    }
}

impl Body for HttpBody<'_> {
    fn remaining(&self) -> Range<u64> {
        self.remaining.clone()
    }

    fn read_exact(&mut self, mut buf: &mut [u8]) -> Result<(), StoreError> {
        // Time between two reads is the caller's, not the server's.
        self.reader.pace = (Instant::now(), 0);
        if buf.len() as u64 > self.remaining.end - self.remaining.start {
            return Err(self.short());
        }
        while !buf.is_empty() {
            let read = match self.reader.read(buf) {
                Ok(0) | Err(StoreError::Unreachable { cause: Unreachable::Dropped(_), .. }) => {
                    return Err(self.short());
                }
                read => read?,
            };
            self.remaining.start += read as u64;
            buf = buf.get_mut(read..).unwrap_or_default();
        }
        if self.remaining.is_empty() && self.delimited {
            // Lets the library see the end, which gives the connection back.
            self.reader.read(&mut [0])?;
        }
        Ok(())
    }
}
