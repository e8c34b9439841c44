//! Any bytes as a `.venom` file: decoding, claiming and verifying never panic, and what verifies against the key of
//! the golden bundle is the golden manifest and component.
//!
//! `cargo +nightly fuzz run decode -s none -- -max_total_time=60` in `host/crates/bundle`, with `tests/golden`
//! as a first corpus. The ordinary tests hold a bounded run of the same check (`tests/bundle/mutations.rs`).

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use venom_bundle::{Digest, SigningKey, Trust, UnverifiedBundle};

const COMPONENT: &[u8] = include_bytes!("../../tests/golden/component.wasm");
const MANIFEST: &str = include_str!("../../tests/golden/manifest.json");

static TRUST: LazyLock<Trust> = LazyLock::new(|| Trust::single("golden", &SigningKey::from_seed(&[7; 32]).public()));

fuzz_target!(|data: &[u8]| {
    let Ok(bundle) = UnverifiedBundle::parse(data.to_vec()) else {
        return;
    };
    let claimed = bundle.claimed();
    if let Ok(verified) = bundle.verify(&TRUST, &semver::Version::new(0, 1, 0)) {
        assert_eq!(verified.digest(), Digest::of(MANIFEST.trim_end().as_bytes()));
        assert_eq!(verified.component(), COMPONENT);
        assert_eq!(claimed.manifest().ok(), Some(verified.manifest()));
    }
});
