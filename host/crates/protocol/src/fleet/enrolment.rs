//! Enrolment tokens: how an agent gets in the first time.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// `POST /api/v1/enrolments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateEnrolment {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The site every agent that enrols with it belongs to.
    pub site_name: String,
    /// Where in the site, for agents that do not say.
    #[serde(default)]
    pub location: Option<String>,
    /// Tags of every agent that enrols with it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How many agents may enrol (1).
    #[serde(default = "once")]
    pub uses: u32,
    /// Seconds it is good for (86,400: a day); at most a year.
    #[serde(default = "a_day")]
    pub expires_in: u64,
    /// Whether an operator must approve each agent before anything it sends is taken in.
    #[serde(default)]
    pub approval: bool,
}

fn once() -> u32 {
    1
}

fn a_day() -> u64 {
    86_400
}

/// The answer: the only time the token is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolmentCreated {
    /// The token: 32 random bytes, base64url.
    pub token: String,
    /// For `venom-host agent register`: where the nexus is, the token, and the pin of its certificate's key when it has one:
    /// `venom://HOST:PORT/?token=T&tls=1&pin=sha256:HEX`.
    pub enrol: String,
    /// What it is good for.
    pub enrolment: EnrolmentView,
}

/// An enrolment token, without the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolmentView {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// The site it is bound to.
    pub site_name: String,
    /// Where in the site.
    pub location: Option<String>,
    /// Tags it gives.
    pub tags: Vec<String>,
    /// How many agents may enrol.
    pub uses: u32,
    /// How many have.
    pub used: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Name of the token it was made with.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
    /// Whether an operator must approve each agent.
    pub approval: bool,
}

/// `GET /api/v1/enrolments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolmentList {
    /// Newest first; those that ended stay listed.
    pub enrolments: Vec<EnrolmentView>,
}
