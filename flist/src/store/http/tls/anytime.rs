//! Checks a server's certificate in all but its time: who signed it, for which name, and that the
//! server holds its key. So a server that can be told from an impostor may say what time it is, to a
//! machine that does not know.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// The most certificates of a chain whose times are looked at.
const CHAIN_MAX: usize = 8;

/// The verifier within, at whatever time it is content with.
#[derive(Debug)]
pub(super) struct AnyTime(pub(super) Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyTime {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let at = |now| {
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let mut answer = at(now);
        for _ in 0..CHAIN_MAX {
            use CertificateError::{ExpiredContext, NotValidYetContext};
            // The bounds themselves are within the validity.
            let bound = match answer {
                Err(Error::InvalidCertificate(NotValidYetContext { not_before, .. })) => not_before,
                Err(Error::InvalidCertificate(ExpiredContext { not_after, .. })) => not_after,
                answer => return answer,
            };
            answer = at(bound);
        }
        answer
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
