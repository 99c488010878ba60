//! Certificates for one run: an authority, and a server of the loopback interface.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::failure::{Failure, OrFail};
use super::reaper;

/// PEM files.
#[derive(Clone, Debug)]
pub struct Certificates {
    pub authority: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    /// An authority that signed nothing here.
    pub stranger: PathBuf,
}

impl Certificates {
    /// Makes them in the run's directory.
    pub fn make(name: &str) -> Result<Self, Failure> {
        let directory = reaper::data_directory(name)?;
        let write = |file: &str, text: String| {
            let path = directory.join(file);
            std::fs::write(&path, text).or_fail(format!("failed to write {}", path.display())).map(|()| path)
        };
        let (authority, issuer) = certificate_authority("tidegate testbed authority")?;
        let (stranger, _) = certificate_authority("stranger")?;
        let key = KeyPair::generate().or_fail("failed to make a key")?;
        let server = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
            .and_then(|parameters| parameters.signed_by(&key, &issuer))
            .or_fail("failed to sign a certificate")?;
        Ok(Self {
            authority: write("authority.pem", authority)?,
            server: write("server.pem", server.pem())?,
            server_key: write("server.key", key.serialize_pem())?,
            stranger: write("stranger.pem", stranger)?,
        })
    }
}

fn certificate_authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>), Failure> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().or_fail("failed to make a key")?;
    let certificate = parameters.self_signed(&key).or_fail("failed to make an authority")?;
    Ok((certificate.pem(), Issuer::new(parameters, key)))
}
