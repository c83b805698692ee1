//! A mirror behind TLS, and the authority that vouches for it.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::evil::{Answer, EvilMirror, Wire};

/// A certificate authority that no machine knows.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a certificate says.
#[derive(Clone, Copy)]
pub(crate) enum Certificate {
    /// What it should.
    Right,
    /// That it was valid years ago.
    Expired,
    /// Another name.
    OtherName,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes its certificate where a machine can be told to trust it.
    pub(crate) fn write(&self, path: PathBuf) -> PathBuf {
        fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// Serves the store in `root` with such a certificate.
    pub(crate) fn serve(&self, root: &Path, certificate: Certificate) -> EvilMirror {
        let config = Arc::new(self.config(certificate));
        let wrap = move |stream| Some(Tls(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).ok()?, stream)));
        EvilMirror::listen(root.to_owned(), Arc::new(|_, _| Answer::Whole), "https", wrap)
    }

    fn config(&self, certificate: Certificate) -> ServerConfig {
        let name = if matches!(certificate, Certificate::OtherName) { "elsewhere.example" } else { "127.0.0.1" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if matches!(certificate, Certificate::Expired) {
            (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.0).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        builder.with_no_client_auth().with_single_cert(vec![signed.der().clone()], private).unwrap()
    }
}

/// A connection with TLS.
struct Tls(StreamOwned<ServerConnection, TcpStream>);

impl Read for Tls {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Tls {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Wire for Tls {
    fn tcp(&self) -> &TcpStream {
        &self.0.sock
    }
}
