//! SCRAM (RFC 5802, RFC 7677) as Kafka speaks it: SHA-256 and SHA-512, no channel binding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use rand::Rng as _;
use sha2::{Digest as _, Sha256, Sha512};

/// Kafka refuses fewer.
const ITERATIONS_MIN: u32 = 4096;
/// A bound against a broker that would keep us busy.
const ITERATIONS_MAX: u32 = 1_000_000;

/// The hash function.
#[derive(Clone, Copy)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations).to_vec(),
            Self::Sha512 => pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password.as_bytes(), salt, iterations).to_vec(),
        }
    }
}

/// A login about to start.
pub(super) struct Scram<'a> {
    hash: Hash,
    user: String,
    password: &'a str,
    nonce: String,
}

impl<'a> Scram<'a> {
    pub(super) fn new(hash: Hash, username: &str, password: &'a str) -> Self {
        let random: [u8; 24] = rand::rng().random();
        Self::with_nonce(hash, username, password, STANDARD.encode(random))
    }

    fn with_nonce(hash: Hash, username: &str, password: &'a str, nonce: String) -> Self {
        Self { hash, user: username.replace('=', "=3D").replace(',', "=2C"), password, nonce }
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    /// The client's first message.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first_bare())
    }

    /// The answer to the server's first message.
    pub(super) fn answer(&self, server_first: &[u8]) -> Result<Answered, &'static str> {
        let server_first = std::str::from_utf8(server_first).map_err(|_| "the server's message is not text")?;
        let field = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let nonce = field("r").ok_or("the server sent no nonce")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's nonce does not continue ours");
        }
        let salt = field("s").and_then(|salt| STANDARD.decode(salt).ok()).ok_or("the server sent no salt")?;
        let iterations: u32 =
            field("i").and_then(|count| count.parse().ok()).ok_or("the server sent no iteration count")?;
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err("the server's iteration count is out of range");
        }
        let salted = self.hash.salted(self.password, &salt, iterations);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let without_proof = format!("c=biws,r={nonce}");
        let exchange = format!("{},{server_first},{without_proof}", self.first_bare());
        let signature = self.hash.hmac(&self.hash.digest(&client_key), exchange.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        Ok(Answered {
            message: format!("{without_proof},p={}", STANDARD.encode(proof)),
            server_signature: self.hash.hmac(&server_key, exchange.as_bytes()),
        })
    }
}

/// The answer to the server, and what it must prove in turn.
#[derive(Debug)]
pub(super) struct Answered {
    message: String,
    server_signature: Vec<u8>,
}

impl Answered {
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Checks the server's last message: it must know the password as well.
    pub(super) fn verify(&self, server_last: &[u8]) -> Result<(), &'static str> {
        let server_last = std::str::from_utf8(server_last).map_err(|_| "the server's message is not text")?;
        let signature = server_last.strip_prefix("v=").and_then(|text| STANDARD.decode(text.split(',').next()?).ok());
        if signature.is_some_and(|signature| signature == self.server_signature) {
            Ok(())
        } else {
            Err("the server could not prove that it knows the password")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let scram = Scram::with_nonce(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answered = scram
            .answer(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
            .unwrap();
        assert_eq!(
            answered.message(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(answered.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_ok());
        assert!(answered.verify(b"v=AAAA").is_err());
        assert!(answered.verify(b"e=invalid-proof").is_err());
    }

    #[test]
    fn a_server_that_does_not_play_by_the_rules_is_refused() {
        let scram = Scram::with_nonce(Hash::Sha512, "a=b,c", "p", "N".to_owned());
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=N");
        for (message, problem) in [
            (&b"r=X1,s=AAAA,i=4096"[..], "the server's nonce does not continue ours"),
            (b"r=N,s=AAAA,i=4096", "the server's nonce does not continue ours"),
            (b"r=N1,i=4096", "the server sent no salt"),
            (b"r=N1,s=AAAA,i=1", "the server's iteration count is out of range"),
            (b"r=N1,s=AAAA,i=99999999", "the server's iteration count is out of range"),
            (b"\xff", "the server's message is not text"),
        ] {
            assert_eq!(scram.answer(message).unwrap_err(), problem);
        }
    }
}
