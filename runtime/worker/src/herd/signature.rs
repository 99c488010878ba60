//! Signatures of requests between workers (KIP-507): HMAC of the body with the session key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use connect_cluster::config_record::SessionKey;
use connect_cluster::{HerdError, Signature};
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};

fn mac(algorithm: &str, key: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    // Any length of key is fine for an HMAC.
    macro_rules! hmac {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).ok()?;
            mac.update(body);
            Some(mac.finalize().into_bytes().to_vec())
        }};
    }
    match algorithm {
        "HmacSHA256" => hmac!(Sha256),
        "HmacSHA384" => hmac!(Sha384),
        "HmacSHA512" => hmac!(Sha512),
        _ => None,
    }
}

/// The value of `X-Connect-Authorization`; `None` for an algorithm that is not known.
pub(super) fn sign(algorithm: &str, key: &SessionKey, body: &[u8]) -> Option<String> {
    mac(algorithm, &key.key, body).map(|bytes| BASE64.encode(bytes))
}

/// Names that the JDK has an implementation for: others are refused in other words.
const KNOWN_TO_JAVA: [&str; 8] =
    ["HmacMD5", "HmacSHA1", "HmacSHA224", "HmacSHA256", "HmacSHA384", "HmacSHA512", "HmacSHA512/224", "HmacSHA512/256"];

/// Decodes a signature, with the words of `java.util.Base64` for one that is none.
fn decode(text: &str) -> Result<Vec<u8>, HerdError> {
    BASE64.decode(text).map_err(|_| {
        let illegal = text.bytes().find(|byte| !byte.is_ascii_alphanumeric() && !b"+/=".contains(byte));
        HerdError::bad_request(match illegal {
            Some(byte) => format!("Illegal base64 character {byte:x}"),
            None => "Input byte array has wrong 4-byte ending unit".to_owned(),
        })
    })
}

/// Checks a request as the JVM does (`InternalRequestSignature`, `DistributedHerder.validateInternalRequest`).
pub(super) fn check(allowed: &[String], key: Option<&SessionKey>, signature: &Signature) -> Result<(), HerdError> {
    let (Some(authorization), Some(algorithm)) = (&signature.authorization, &signature.algorithm) else {
        return Err(HerdError::bad_request("Internal request missing required signature"));
    };
    if !KNOWN_TO_JAVA.contains(&algorithm.as_str()) {
        return Err(HerdError::bad_request(format!("Algorithm {algorithm} not available")));
    }
    let given = decode(authorization)?;
    if !allowed.contains(algorithm) {
        return Err(HerdError::bad_request(format!(
            "This worker does not support the '{algorithm}' key signing algorithm used by other workers. This worker is \
             currently configured to use: [{}]. Check that all workers' configuration files permit the same set of \
             signature algorithms, and correct any misconfigured worker and restart it.",
            allowed.join(", ")
        )));
    }
    let Some(key) = key else {
        return Err(HerdError::Refused {
            status: 503,
            message:
                "This worker is still starting up and has not been able to read a session key from the config topic \
                      yet"
                .to_owned(),
        });
    };
    let expected = mac(algorithm, &key.key, &signature.body)
        .ok_or_else(|| HerdError::bad_request(format!("Unknown signature algorithm '{algorithm}'")))?;
    if constant_time_equal(&given, &expected) {
        Ok(())
    } else {
        Err(HerdError::Refused { status: 403, message: "Internal request contained invalid signature.".to_owned() })
    }
}

/// Takes the same time wherever the bytes differ.
fn constant_time_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SessionKey {
        SessionKey { key: vec![1; 32], algorithm: "HmacSHA256".to_owned(), created_ms: 0 }
    }

    fn signed(body: &[u8]) -> Signature {
        Signature {
            body: body.to_vec(),
            authorization: sign("HmacSHA256", &key(), body),
            algorithm: Some("HmacSHA256".to_owned()),
        }
    }

    fn status(outcome: Result<(), HerdError>) -> u16 {
        match outcome {
            Ok(()) => 200,
            Err(HerdError::Refused { status, .. }) => status,
            Err(HerdError::Elsewhere { .. }) => 0,
        }
    }

    #[test]
    fn only_the_right_signature_passes() {
        let allowed = ["HmacSHA256".to_owned()];
        assert_eq!(status(check(&allowed, Some(&key()), &signed(b"[]"))), 200);
        assert_eq!(status(check(&allowed, Some(&key()), &Signature { body: b"[{}]".to_vec(), ..signed(b"[]") })), 403);
        assert_eq!(status(check(&allowed, Some(&key()), &Signature::default())), 400);
        assert_eq!(status(check(&allowed, None, &signed(b"[]"))), 503);
        assert_eq!(status(check(&["HmacSHA512".to_owned()], Some(&key()), &signed(b"[]"))), 400);
        let message = |signature: &Signature| match check(&allowed, Some(&key()), signature) {
            Err(HerdError::Refused { message, .. }) => message,
            other => format!("{other:?}"),
        };
        let bogus = Signature { algorithm: Some("bogus".to_owned()), ..signed(b"[]") };
        assert_eq!(message(&bogus), "Algorithm bogus not available");
        let garbled = Signature { authorization: Some("%".to_owned()), ..signed(b"[]") };
        assert_eq!(status(check(&allowed, Some(&key()), &garbled)), 400);
        assert_eq!(message(&garbled), "Illegal base64 character 25");
    }
}
