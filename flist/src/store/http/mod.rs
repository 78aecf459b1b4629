//! Stores on HTTP servers: one range a request, answered with exactly that range, or with the
//! whole file where a server knows no ranges.

mod body;
mod client;
mod explain;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzzing;
mod look_up;
mod proxy;
mod range;
mod resolver;
mod tls;
mod via;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ureq::http::Response;

use super::{Body, Fault, Store, StoreError};
use crate::image::Pack;
use body::HttpBody;
pub use client::{Client, ClientError, ClientOptions, ClockHelp};
pub use look_up::look_up;
pub use proxy::{BadProxy, Proxies, Proxy};

/// A base URL beneath which `packs/` lies.
pub struct Http {
    client: Client,
    base: String,
    knows_no_ranges: Arc<AtomicBool>,
}

impl Http {
    /// The store at `base`; nothing is asked yet.
    pub fn new(client: Client, base: String) -> Self {
        Self { client, base, knows_no_ranges: Arc::default() }
    }

    fn url(&self, pack: &Pack) -> String {
        let folder = super::Location::Url(self.base.clone());
        folder.join(&format!("packs/{}", pack.id)).to_string()
    }

    fn warn_once(&self) {
        if !self.knows_no_ranges.swap(true, Ordering::Relaxed) {
            log::warn!(
                "{}: the server ignores Range requests: it has to send whole packs; \
                 use one that knows them",
                self.base
            );
        }
    }
}

impl Store for Http {
    fn name(&self) -> &str {
        &self.base
    }

    fn open(&self, pack: &Pack, range: Range<u64>) -> Result<Box<dyn Body + '_>, StoreError> {
        let url = self.url(pack);
        let response = self.client.get(&url, Some(&range), None)?;
        let sent = sent(&response, pack.len, &range)
            .map_err(|fault| StoreError::Protocol { place: url.clone(), fault })?;
        if sent != range {
            self.warn_once();
        }
        Ok(Box::new(HttpBody::new(&self.client, url, response, sent)))
    }

    fn hasty(&self) -> Option<Arc<dyn Store>> {
        let (base, knows_no_ranges) = (self.base.clone(), Arc::clone(&self.knows_no_ranges));
        Some(Arc::new(Self { client: self.client.hasty(), base, knows_no_ranges }))
    }

    fn shutdown(&self) {
        self.client.abort();
    }
}

/// Which bytes of the pack the body of a successful answer consists of.
fn sent(
    response: &Response<ureq::Body>,
    pack_len: u64,
    asked: &Range<u64>,
) -> Result<Range<u64>, Fault> {
    let other = |why| Err(Fault::OtherContent { kind: content_type(response), why });
    if let Some(encoding) = encoding(response) {
        return Err(Fault::Encoded(encoding));
    }
    let sent = match response.status().as_u16() {
        206 => {
            let header = header(response, "content-range").unwrap_or_default();
            match range::parse_content_range(&header) {
                Some((sent, total)) if sent == *asked && total.is_none_or(|t| t == pack_len) => {
                    sent
                }
                _ => {
                    let want = range::content_range(asked, pack_len);
                    return other(format!("its Content-Range is \"{header}\" and not \"{want}\""));
                }
            }
        }
        416 => return other(format!("it has no bytes {}-{}", asked.start, asked.end - 1)),
        _ => 0..pack_len,
    };
    let want = sent.end - sent.start;
    match response.body().content_length() {
        Some(len) if len != want => other(format!("it is {len} bytes long and not {want}")),
        None if content_type(response).contains("html") => other("its length is not known".into()),
        _ => Ok(sent),
    }
}

fn header(response: &Response<ureq::Body>, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn content_type(response: &Response<ureq::Body>) -> String {
    header(response, "content-type").unwrap_or_default().to_ascii_lowercase()
}

/// How the body is encoded, if it is.
fn encoding(response: &Response<ureq::Body>) -> Option<String> {
    header(response, "content-encoding").filter(|e| !e.is_empty() && e != "identity")
}
