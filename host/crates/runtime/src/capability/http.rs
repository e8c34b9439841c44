//! Outgoing HTTP of a skill. It never follows a redirect.
