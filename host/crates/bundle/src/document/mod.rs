//! The documents that say what belongs where: root, release and rollout, each in a signed envelope. Bytes are verified,
//! then their type is checked, then they are parsed; what a document may say is decided by the root before it.

mod missing;
mod name;
mod span;

mod signed;

mod root;

mod release;
mod release_check;
mod rollout;

mod host;
mod note;

mod kept;
mod state;
mod turn;

mod next_release;
mod next_root;

pub use host::{ArtefactMismatch, HostArtefact, MAX_HOST_BYTES, TrustedHostArtefact};
pub use missing::MissingSignatures;
pub use name::{Channel, InvalidDocumentName, SwarmId};
pub use next_release::EntryChange;
pub use next_root::{RoleChange, RootChange};
pub use note::{NoteError, sign_note};
pub use release::{BundleRef, Entry, MAX_ENTRIES, MAX_SEQ, Release, Selector, TrustedRelease, WrongBundle};
pub use release_check::{MAX_SOURCE_BYTES, MAX_SOURCES};
pub use rollout::{Rollout, RolloutOrder, TrustedRollout, WHOLE, bucket};
pub use root::{Role, Roles, Root, RootPublisher, TrustedRoot};
pub use signed::{DocumentError, DocumentKind, SignedDocument};
pub use span::{MAX_LIFETIME, MAX_ROLLOUT_LIFETIME};
pub use state::{Current, StateError, Taken, TrustState};
pub use turn::NotYet;
