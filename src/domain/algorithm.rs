//! The algorithms that a JSON Web Token may be signed with: asymmetric ones only.

use super::closed_set;

closed_set! {
/// A signature algorithm of RFC 7518, section 3, or RFC 8037. There is none with a shared
/// secret and no `none`: what is not here can be neither configured nor accepted.
pub enum JwsAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256 = "ES256",
    /// ECDSA on P-384 with SHA-384.
    Es384 = "ES384",
    /// Ed25519.
    EdDsa = "EdDSA",
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 = "RS256",
    /// The same with SHA-384.
    Rs384 = "RS384",
    /// The same with SHA-512.
    Rs512 = "RS512",
    /// RSASSA-PSS with SHA-256.
    Ps256 = "PS256",
    /// The same with SHA-384.
    Ps384 = "PS384",
    /// The same with SHA-512.
    Ps512 = "PS512",
}
}

impl JwsAlgorithm {
    /// The algorithm of this name. RFC 9864, section 2.2 gives `EdDSA` on Ed25519 the name
    /// `Ed25519` as well.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Self::ALL.iter().find(|algorithm| algorithm.as_str() == name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_asymmetric_algorithms_have_a_name() {
        for algorithm in JwsAlgorithm::ALL {
            assert_eq!(JwsAlgorithm::parse(algorithm.as_str()), Some(*algorithm));
        }
        assert_eq!(JwsAlgorithm::parse("Ed25519"), Some(JwsAlgorithm::EdDsa));
        for name in ["none", "None", "", "HS256", "hs256", "es256", "ES256K", "Ed448", " RS256"] {
            assert_eq!(JwsAlgorithm::parse(name), None, "{name}");
        }
    }
}
