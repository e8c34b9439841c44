//! The two contents of a `.venom` file, for stores that keep them apart, such as OCI registries. Taking a file apart and
//! joining it again gives the same bytes. Says nothing about who signed it.

use crate::envelope::Envelope;
use crate::{ArchiveError, BundleError, MAX_COMPONENT_BYTES, archive};

/// A `.venom` file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleParts {
    envelope: String,
    component: Vec<u8>,
}

impl BundleParts {
    /// Takes a file apart.
    ///
    /// # Errors
    /// [`BundleError`] where it is no `.venom` file.
    pub fn split(file: &[u8]) -> Result<Self, BundleError> {
        let archive = archive::read(file)?;
        Self::checked(archive.envelope, archive.component)
    }

    /// Takes up contents that came apart.
    ///
    /// # Errors
    /// [`BundleError`] where no `.venom` file holds them.
    pub fn of(envelope: String, component: Vec<u8>) -> Result<Self, BundleError> {
        let size = component.len() as u64;
        if size > MAX_COMPONENT_BYTES {
            let (part, limit) = ("component.wasm", MAX_COMPONENT_BYTES);
            return Err(ArchiveError::TooLarge { part, size, limit }.into());
        }
        Self::checked(envelope.into_bytes(), component)
    }

    fn checked(envelope: Vec<u8>, component: Vec<u8>) -> Result<Self, BundleError> {
        Envelope::parse(&envelope)?;
        // An envelope is strict JSON, so nothing is lost here.
        let envelope = String::from_utf8_lossy(&envelope).into_owned();
        Ok(Self { envelope, component })
    }

    /// The signed envelope, byte for byte.
    #[must_use]
    pub fn envelope(&self) -> &str {
        &self.envelope
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &[u8] {
        &self.component
    }

    /// The file again.
    #[must_use]
    pub fn join(&self) -> Vec<u8> {
        archive::write(self.envelope.as_bytes(), &self.component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EnvelopeError, MAX_ENVELOPE_BYTES, PAYLOAD_TYPE};

    fn envelope() -> Vec<u8> {
        Envelope::unsigned(PAYLOAD_TYPE, b"payload".to_vec()).to_bytes()
    }

    #[test]
    fn a_file_that_was_taken_apart_is_the_same_again() {
        let compact = envelope();
        // Other tools may write the same envelope with spaces: those bytes stay too.
        let spaced = [b"\n ".as_slice(), &compact, b"\n"].concat();
        for envelope in [compact, spaced] {
            let file = archive::write(&envelope, b"\0asm and more");
            let parts = BundleParts::split(&file).unwrap();
            assert_eq!(parts.envelope().as_bytes(), envelope);
            let again = BundleParts::of(parts.envelope().to_owned(), parts.component().to_vec()).unwrap();
            assert_eq!(again.join(), file);
        }
    }

    #[test]
    fn what_no_file_holds_is_refused() {
        let envelope = String::from_utf8(envelope()).unwrap();
        let large = vec![0; MAX_COMPONENT_BYTES as usize + 1];
        let refused = BundleParts::of(envelope.clone(), large);
        assert!(matches!(
            refused,
            Err(BundleError::Archive(ArchiveError::TooLarge { .. }))
        ));
        let refused = BundleParts::of(" ".repeat(MAX_ENVELOPE_BYTES) + &envelope, Vec::new());
        assert!(matches!(
            refused,
            Err(BundleError::Envelope(EnvelopeError::TooLarge { .. }))
        ));
        assert!(BundleParts::of("{}".to_owned(), Vec::new()).is_err());
        assert!(BundleParts::split(b"\0asm").is_err());
    }
}
