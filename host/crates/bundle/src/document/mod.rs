//! The documents that say what belongs where: root, release and rollout, each in a signed envelope. Bytes are verified,
//! then their type is checked, then they are parsed; what a document may say is decided by the root before it.

mod name;
mod release;
mod rollout;
mod root;
mod signed;
mod state;

pub use name::{Channel, InvalidDocumentName, SwarmId};
pub use release::{BundleRef, Entry, MAX_ENTRIES, MAX_SEQ, Release, Selector, TrustedRelease};
pub use rollout::{Rollout, RolloutOrder, TrustedRollout, WHOLE, bucket};
pub use root::{Role, Roles, Root, RootPublisher, TrustedRoot};
pub use signed::{DocumentError, DocumentKind, SignedDocument};
pub use state::{Current, StateError, Taken, TrustState};
