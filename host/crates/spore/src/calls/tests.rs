//! Laws of the calls in hand, with closures in place of skills.
