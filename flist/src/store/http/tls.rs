//! TLS for the HTTP client: the web's roots, and those an operator adds. (The HTTP library takes
//! one or the other.)

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned, WantsVerifier,
};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::client::ClientError;
use anytime::AnyTime;

mod anytime;

/// What is trusted. Clones share it.
#[derive(Clone)]
pub(super) struct TlsSetup {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

impl TlsSetup {
    /// The web's roots and the certificates in `ca_pem`.
    pub(super) fn new(ca_pem: &[u8]) -> Result<Self, ClientError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut given = 0;
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            let certificate = certificate.map_err(|e| ClientError::Ca(e.to_string()))?;
            roots.add(certificate).map_err(|e| ClientError::Ca(e.to_string()))?;
            given += 1;
        }
        if given == 0 && !ca_pem.is_empty() {
            return Err(ClientError::Ca("there is no certificate in it".into()));
        }
        let roots = Arc::new(roots);
        let config = builder()?.with_root_certificates(Arc::clone(&roots)).with_no_client_auth();
        Ok(Self { config: Arc::new(config), roots })
    }

    /// The same, but certificates are good at any time: to ask a server what time it is.
    pub(super) fn at_any_time(&self) -> Result<Self, ClientError> {
        let tls = |e: &dyn fmt::Display| ClientError::Tls(e.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::clone(&self.roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let verifier = Arc::new(AnyTime(verifier.map_err(|e| tls(&e))?));
        let builder = builder()?.dangerous().with_custom_certificate_verifier(verifier);
        let config = Arc::new(builder.with_no_client_auth());
        Ok(Self { config, roots: Arc::clone(&self.roots) })
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    builder.with_safe_default_protocol_versions().map_err(|e| ClientError::Tls(e.to_string()))
}

/// Puts TLS on connections to https URLs.
pub(super) struct Tls(TlsSetup);

impl Tls {
    pub(super) fn new(setup: TlsSetup) -> Self {
        Self(setup)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|e| Error::Other(Box::new(e)))?;
        let mut conn = ClientConnection::new(Arc::clone(&self.0.config), name)?;
        let clock = Arc::clone(&details.current_time);
        let mut sock = TransportAdapter::new(Box::new(transport) as Box<dyn Transport>, clock);
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned { conn, sock } })))
    }
}

/// A connection with TLS on it.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(self.buffers.output().get(..amount).unwrap_or_default())?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub(super) mod tests;
