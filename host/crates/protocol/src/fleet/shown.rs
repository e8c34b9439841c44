//! What is shown of bodies that hold a token, in logs and panics: not the token.

use std::fmt;

use super::{EnrolmentCreated, RegisterAgent, Registered, TokenRotated};

impl fmt::Debug for RegisterAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // whatever else it sent may hold one too
        f.debug_struct("RegisterAgent")
            .field("agent_id", &self.agent_id)
            .field("hostname", &self.hostname)
            .field("name", &self.name)
            .field("site_name", &self.site_name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("agent_id", &self.agent_id)
            .field("site_name", &self.site_name)
            .field("approved", &self.approved)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenRotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRotated")
            .field("agent_id", &self.agent_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrolmentCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentCreated")
            .field("enrolment", &self.enrolment)
            .finish_non_exhaustive()
    }
}
