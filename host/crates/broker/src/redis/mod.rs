//! The Redis back end.
