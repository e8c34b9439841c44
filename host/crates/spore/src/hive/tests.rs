//! Laws of the local hive, with a closure in place of skills.
