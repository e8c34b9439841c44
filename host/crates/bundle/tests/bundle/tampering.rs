//! One bit, anywhere.

use venom_bundle::UnverifiedBundle;

use crate::support::{envelope_of, good, host, trust};

fn accepted(bytes: &[u8]) -> bool {
    UnverifiedBundle::parse(bytes.to_vec()).is_ok_and(|bundle| bundle.verify(&trust(), &host()).is_ok())
}

#[test]
fn every_single_bit_of_a_bundle_matters() {
    let good = good().to_bytes();
    assert!(accepted(&good));
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !accepted(&flipped),
            "bit {} of byte {} may be flipped",
            bit % 8,
            bit / 8
        );
    }
}

#[test]
fn every_bit_of_the_signature_itself_matters() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let (bytes, component) = (good().to_bytes(), crate::support::component());
    let envelope: serde_json::Value = serde_json::from_slice(&envelope_of(&bytes)).unwrap();
    let signature = STANDARD
        .decode(envelope["signatures"][0]["sig"].as_str().unwrap())
        .unwrap();
    assert_eq!(signature.len(), 64);
    for bit in 0..64 * 8 {
        let mut flipped = signature.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let mut envelope = envelope.clone();
        envelope["signatures"][0]["sig"] = STANDARD.encode(flipped).into();
        assert!(
            !accepted(&crate::support::archive(envelope.to_string().as_bytes(), &component)),
            "bit {bit}"
        );
    }
    assert!(accepted(&crate::support::archive(
        envelope.to_string().as_bytes(),
        &component
    )));
}
