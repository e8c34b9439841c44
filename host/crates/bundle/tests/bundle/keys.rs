//! Keys on disk, and public keys that must not be taken.

use std::os::unix::fs::PermissionsExt as _;

use venom_bundle::{KeyError, PublicKey, SigningKey};

/// The example keys of RFC 8410, section 10.
const RFC_8410_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const RFC_8410_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

#[test]
fn the_files_are_those_of_rfc_8410() {
    let key = SigningKey::from_pem(RFC_8410_PRIVATE).unwrap();
    assert_eq!(key.public().to_pem(), RFC_8410_PUBLIC);
    assert_eq!(key.to_pem().unwrap().as_str(), RFC_8410_PRIVATE);
    assert_eq!(key.public().to_base64(), RFC_8410_PUBLIC.lines().nth(1).unwrap());
}

#[test]
fn a_public_key_is_read_in_each_of_its_forms() {
    use base64::Engine as _;
    let key = PublicKey::parse(RFC_8410_PUBLIC).unwrap();
    let raw = base64::engine::general_purpose::STANDARD.encode(key.to_bytes());
    for text in [key.to_base64(), raw, format!("\n  {}\n", key.to_base64())] {
        assert_eq!(PublicKey::parse(&text).unwrap(), key, "{text}");
    }
    assert_eq!(key.id().digest(), &venom_bundle::Digest::of(&key.to_bytes()));
    assert_eq!(key.id().to_string().parse::<venom_bundle::KeyId>().unwrap(), key.id());
    for bad in [
        "",
        "AAAA",
        "not base64",
        RFC_8410_PRIVATE,
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
    ] {
        assert!(
            matches!(PublicKey::parse(bad), Err(KeyError::NotPublic { .. })),
            "{bad}"
        );
    }
}

#[test]
fn small_order_and_non_canonical_keys_are_refused() {
    let repeat = |first: u8, middle: u8, last: u8| {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (first, last);
        bytes
    };
    let of_order_8 = |hex: &str, last: u8| {
        let mut bytes = *hex.parse::<venom_bundle::Digest>().unwrap().as_bytes();
        bytes[31] = last;
        bytes
    };
    let one = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let other = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let keys = [
        repeat(1, 0, 0),
        repeat(1, 0, 0x80),
        repeat(0, 0, 0),
        repeat(0, 0, 0x80),
        repeat(0xec, 0xff, 0x7f),
        repeat(0xec, 0xff, 0xff),
        repeat(0xed, 0xff, 0x7f),
        repeat(0xed, 0xff, 0xff),
        repeat(0xee, 0xff, 0x7f),
        repeat(0xee, 0xff, 0xff),
        of_order_8(one, 0x05),
        of_order_8(one, 0x85),
        of_order_8(other, 0x7a),
        of_order_8(other, 0xfa),
    ];
    for bytes in keys {
        let error = PublicKey::from_bytes(&bytes).unwrap_err();
        assert!(
            matches!(error, KeyError::Weak { .. } | KeyError::NotPublic { .. }),
            "{bytes:02x?}: {error}"
        );
    }
    // Of larger order, but 2^255-19+3 where 3 is meant: a second name for one key.
    let twice = (2..19_u8).filter(|y| {
        let plain = PublicKey::from_bytes(&repeat(*y, 0, 0)).is_ok();
        plain && PublicKey::from_bytes(&repeat(0xed + y, 0xff, 0x7f)).is_err()
    });
    assert!(twice.count() > 3, "non-canonical encodings were accepted");
}

#[test]
fn private_keys_are_created_for_their_owner_alone_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("publisher.key");
    let key = SigningKey::generate().unwrap();
    key.save_new(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(SigningKey::load(&path).unwrap().public(), key.public());
    let other = SigningKey::generate().unwrap();
    assert_ne!(other.public(), key.public());
    assert!(matches!(other.save_new(&path), Err(KeyError::Exists { .. })));
    assert_eq!(SigningKey::load(&path).unwrap().public(), key.public());

    let public = directory.path().join("publisher.pub");
    key.public().save_new(&public).unwrap();
    assert_eq!(PublicKey::load(&public).unwrap(), key.public());
    assert!(matches!(key.public().save_new(&public), Err(KeyError::Exists { .. })));
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), directory.path().join("link")).unwrap();
    assert!(matches!(
        key.save_new(&directory.path().join("link")),
        Err(KeyError::Exists { .. })
    ));
}

#[test]
fn a_private_key_that_others_can_read_is_refused_with_the_cure() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("publisher.key");
    SigningKey::generate().unwrap().save_new(&path).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644, 0o610] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = SigningKey::load(&path).unwrap_err();
        assert!(
            matches!(error, KeyError::Exposed { mode: it, .. } if it == mode),
            "{mode:o}"
        );
        assert!(
            error.to_string().contains(&format!("chmod 600 {}", path.display())),
            "{error}"
        );
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    SigningKey::load(&path).unwrap();
}

#[test]
fn files_that_are_no_keys_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some.key");
    assert!(matches!(
        SigningKey::load(&path),
        Err(KeyError::File { action: "read", .. })
    ));
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    for text in ["", "hello", RFC_8410_PUBLIC] {
        write(text);
        let error = SigningKey::load(&path).unwrap_err();
        assert!(
            matches!(&error, KeyError::NotPrivate { what } if what.ends_with("some.key")),
            "{error}"
        );
    }
    write(&"x".repeat(20_000));
    assert!(matches!(SigningKey::load(&path), Err(KeyError::File { .. })));
    write(RFC_8410_PRIVATE);
    let error = PublicKey::load(&path).unwrap_err();
    assert!(
        matches!(&error, KeyError::NotPublic { what } if what.ends_with("some.key")),
        "{error}"
    );
}

#[test]
fn a_private_key_is_not_printed() {
    let key = SigningKey::from_pem(RFC_8410_PRIVATE).unwrap();
    assert_eq!(format!("{key:?}"), format!("SigningKey(of {})", key.public().id()));
}
