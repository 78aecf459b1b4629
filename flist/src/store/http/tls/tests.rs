//! TLS against a server with certificates of our own making.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::client::{Client, ClientError, ClientOptions, ClockHelp};
use super::super::{Http, Store};
use crate::id::PackId;
use crate::image::Pack;
use crate::store::testing::Fixture;
use crate::store::testserver::Server;
use crate::store::{FetchOptions, Fetcher, StoreError, Unreachable};

const BYTES: &[u8] = b"the bytes of a pack";

pub(in super::super) fn ca(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server whose certificate `ca` has signed for `name`, changed as wished.
pub(in super::super) fn server(
    ca: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Server {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let config = Arc::new(config);
    let server = Server::with(Box::new(move |stream: TcpStream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        Some(Box::new(StreamOwned::new(connection, stream)))
    }));
    server.put(&format!("/packs/{}", PackId::of(BYTES)), BYTES);
    server
}

fn fetch(server: &Server, ca_pem: &str) -> Result<Vec<u8>, StoreError> {
    let stall_timeout = Duration::from_secs(2);
    let options =
        ClientOptions { ca_pem: ca_pem.into(), stall_timeout, ..ClientOptions::default() };
    let url = server.url("/").replace("http://", "https://");
    let store = Http::new(Client::new(options).unwrap(), url);
    let pack = Pack { id: PackId::of(BYTES), len: BYTES.len() as u64 };
    // Twice: the second time over the same connection.
    store.fetch(&pack, 0..3)?;
    store.fetch(&pack, 4..9)
}

fn refused(result: Result<Vec<u8>, StoreError>) -> (String, bool) {
    match result {
        Err(StoreError::Unreachable { cause: Unreachable::Tls { reason, clock }, .. }) => {
            (reason, clock)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_private_ca_that_is_given() {
    let ca = ca("ours");
    let server = server(&ca, "127.0.0.1", |_| {});
    // Beside another one, as in a bundle.
    let bundle = format!("{}# Comment\n{}", self::ca("another").pem(), ca.pem());
    assert_eq!(fetch(&server, &bundle).unwrap(), b"bytes");
    assert!(server.asked().iter().all(|a| a.connection == 0));
}

#[test]
fn a_thread_that_fetches_has_stack_enough_for_tls() {
    let ca = ca("ours");
    let server = server(&ca, "127.0.0.1", |_| {});
    let fixture = Fixture::new(1, 8, 300_000);
    for (id, bytes) in &fixture.packs {
        server.put(&format!("/packs/{id}"), bytes.clone());
    }
    let options = ClientOptions { ca_pem: ca.pem().into(), ..ClientOptions::default() };
    let url = server.url("/").replace("http://", "https://");
    let store: Arc<dyn Store> = Arc::new(Http::new(Client::new(options).unwrap(), url));
    let image = Arc::clone(&fixture.image);
    let fetcher = Fetcher::new(image, store.into(), FetchOptions::default()).unwrap();
    let all = [7, 6, 5, 4, 3, 2, 1, 0];
    fixture.check(&all, &fetcher.wait(&all).unwrap());
}

#[test]
fn a_ca_that_nobody_knows() {
    let server = server(&ca("ours"), "127.0.0.1", |_| {});
    for ca_pem in ["", &ca("another").pem()] {
        let (reason, clock) = refused(fetch(&server, ca_pem));
        assert!(reason.contains("UnknownIssuer") && !clock, "{reason}");
    }
}

#[test]
fn a_certificate_of_another_time_points_to_the_clock() {
    let ca = ca("ours");
    let past = server(&ca, "127.0.0.1", |p| p.not_after = date_time_ymd(2001, 1, 1));
    let future = server(&ca, "127.0.0.1", |p| p.not_before = date_time_ymd(2999, 1, 1));
    for server in [past, future] {
        let error = fetch(&server, &ca.pem()).unwrap_err();
        assert!(error.may_pass() && error.advice().contains("clock"), "{error}");
        assert!(refused(Err(error)).1);
    }
}

#[test]
fn the_times_are_told() {
    let ca = ca("ours");
    let past = server(&ca, "127.0.0.1", |p| p.not_after = date_time_ymd(2001, 1, 1));
    let future = server(&ca, "127.0.0.1", |p| p.not_before = date_time_ymd(2999, 1, 1));
    let told = |server| refused(fetch(server, &ca.pem())).0;
    let (past, future) = (told(&past), told(&future));
    assert!(
        past.contains("until 2001-01-01 00:00:00 UTC, and this machine's clock says 20"),
        "{past}"
    );
    assert!(future.contains("not valid before 2999-01-01 00:00:00 UTC"), "{future}");
}

fn client(ca_pem: &str, clock: Option<ClockHelp>) -> Client {
    Client::new(ClientOptions { ca_pem: ca_pem.into(), clock, ..ClientOptions::default() }).unwrap()
}

#[test]
fn whoever_sets_the_clock_is_asked_once_a_request() {
    let ca = ca("ours");
    let future = server(&ca, "127.0.0.1", |p| p.not_before = date_time_ymd(2999, 1, 1));
    let good = server(&ca, "127.0.0.1", |_| {});
    for (server, answer, want) in [(&future, true, 1), (&future, false, 1), (&good, true, 0)] {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let help = ClockHelp::new(move |_, url| {
            assert!(url.starts_with("https://127.0.0.1:"));
            count.fetch_add(1, Ordering::Relaxed);
            answer
        });
        let url = server.url("/").replace("http://", "https://");
        let store = Http::new(client(&ca.pem(), Some(help)), url);
        let pack = Pack { id: PackId::of(BYTES), len: BYTES.len() as u64 };
        assert_eq!(store.fetch(&pack, 0..3).is_ok(), want == 0);
        assert_eq!(calls.load(Ordering::Relaxed), want);
    }
}

#[test]
fn the_time_is_asked_of_a_server_whose_certificate_is_out_of_time() {
    const ANSWER: &str = "HTTP/1.1 302 Found\r\nLocation: http://other/\r\n\
        Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
    let ours = ca("ours");
    let past = server(&ours, "127.0.0.1", |p| p.not_after = date_time_ymd(2001, 1, 1));
    let future = server(&ours, "127.0.0.1", |p| p.not_before = date_time_ymd(2999, 1, 1));
    let plain = Server::start();
    let https = |server: &Server| server.url("/").replace("http://", "https://");
    let date = |ca_pem: &str, url: &str| client(ca_pem, None).date(url, Duration::from_secs(5));
    for (server, url) in
        [(&past, https(&past)), (&future, https(&future)), (&plain, plain.url("/"))]
    {
        server.send(ANSWER, false);
        assert_eq!(date(&ours.pem(), &url).unwrap(), 784_111_777);
    }
    // Of no server that is another than it says, nor of one that does not tell.
    let named = server(&ours, "example.org", |p| p.not_after = date_time_ymd(2001, 1, 1));
    for (ca_pem, server) in [(ours.pem(), &named), (ca("another").pem(), &past)] {
        let (reason, clock) = refused(date(&ca_pem, &https(server)).map(|_| Vec::new()));
        assert!(!clock, "{reason}");
    }
    assert!(date("", &plain.url("/")).unwrap_err().to_string().contains("its Date is"));
}

#[test]
fn a_certificate_of_another_name() {
    let ca = ca("ours");
    let server = server(&ca, "example.org", |_| {});
    let (reason, clock) = refused(fetch(&server, &ca.pem()));
    assert!(reason.contains("not valid for name") && !clock, "{reason}");
}

#[test]
fn a_server_without_tls() {
    let server = Server::start();
    server.send("HTTP/1.1 400 Bad Request\r\n\r\n", false);
    let error = fetch(&server, "").unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
}

#[test]
fn no_certificates_to_trust() {
    let new = |pem: &str| Client::new(ClientOptions { ca_pem: pem.into(), ..Default::default() });
    for bad in [
        "nothing",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &KeyPair::generate().unwrap().serialize_pem(),
    ] {
        assert!(matches!(new(bad), Err(ClientError::Ca(_))), "{bad}");
    }
    assert!(new("").is_ok());
}
