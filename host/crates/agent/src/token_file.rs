//! `agent.token`: the agent's token, and while it is exchanged the one before. Written whole before a token is used.
//!
//! Exchanging survives a kill at each step: that it began is written before the nexus is asked (an answer that is lost leaves a
//! token nobody has, and the nexus must be asked again before the old one ends), the new one is written beside the old one before
//! it is used, and the old one is forgotten once the nexus took the new one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use venom_protocol::Timestamp;
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::token::Token;

/// Its name in the data directory.
pub const TOKEN_FILE: &str = "agent.token";

/// The agent's tokens on disk.
pub struct TokenFile {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    tokens: Tokens,
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Tokens {
    current: Token,
    before: Option<Token>,
    issued_at: Timestamp,
    rotating: bool,
}

/// As it is in the file.
#[derive(Serialize, Deserialize)]
struct Written {
    token: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Zeroizing<String>>,
    issued_at: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rotating: bool,
}

/// Why the token cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// There is none.
    #[error("there is no {}: register this agent with `venom-host agent register`", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The disk says no.
    #[error("{} cannot be {doing}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It holds no token.
    #[error("{} holds no token: register this agent again with `venom-host agent register`", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
    },
}

impl TokenFile {
    /// Writes a token an agent just got, and whatever was there is gone.
    ///
    /// # Errors
    /// When the disk says no; the token must not be used then.
    pub fn create(data_dir: &Path, disk: Arc<dyn Disk>, token: Token, now: Timestamp) -> Result<Self, TokenFileError> {
        let path = data_dir.join(TOKEN_FILE);
        disk.make_directory(data_dir).map_err(|source| TokenFileError::Disk {
            path: path.clone(),
            doing: "written",
            source,
        })?;
        let tokens = Tokens {
            current: token,
            before: None,
            issued_at: now,
            rotating: false,
        };
        let mut file = Self {
            path,
            disk,
            tokens: tokens.clone(),
        };
        file.keep(tokens)?;
        Ok(file)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(data_dir: &Path, disk: Arc<dyn Disk>) -> Result<Self, TokenFileError> {
        let path = data_dir.join(TOKEN_FILE);
        let read = disk.read(&path).map_err(|source| TokenFileError::Disk {
            path: path.clone(),
            doing: "read",
            source,
        })?;
        let Some(bytes) = read.map(Zeroizing::new) else {
            return Err(TokenFileError::Absent { path });
        };
        let tokens = serde_json::from_slice::<Written>(&bytes).ok().and_then(|written| {
            Some(Tokens {
                current: Token::new(&written.token).ok()?,
                before: match written.before {
                    Some(before) => Some(Token::new(&before).ok()?),
                    None => None,
                },
                issued_at: written.issued_at,
                rotating: written.rotating,
            })
        });
        match tokens {
            Some(tokens) => Ok(Self { path, disk, tokens }),
            None => Err(TokenFileError::Shape { path }),
        }
    }

    /// The newest token.
    #[must_use]
    pub fn current(&self) -> &Token {
        &self.tokens.current
    }

    /// The one before, until the nexus took the newest.
    #[must_use]
    pub fn before(&self) -> Option<&Token> {
        self.tokens.before.as_ref()
    }

    /// When the newest was issued, by this machine's clock.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.tokens.issued_at
    }

    /// Whether the nexus was asked for a new one and no answer was kept.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        self.tokens.rotating
    }

    /// To be called before the nexus is asked for a new one.
    ///
    /// # Errors
    /// When the disk says no; do not ask then.
    pub fn begin_rotation(&mut self) -> Result<(), TokenFileError> {
        self.keep(Tokens {
            rotating: true,
            ..self.tokens.clone()
        })
    }

    /// The nexus will not give a new one.
    ///
    /// # Errors
    /// When the disk says no; harmless.
    pub fn give_up_rotation(&mut self) -> Result<(), TokenFileError> {
        self.keep(Tokens {
            rotating: false,
            ..self.tokens.clone()
        })
    }

    /// Keeps a new one beside the one in use.
    ///
    /// # Errors
    /// When the disk says no; the new one must not be used then.
    pub fn take_new(&mut self, token: Token, now: Timestamp) -> Result<(), TokenFileError> {
        self.keep(Tokens {
            before: Some(self.tokens.current.clone()),
            current: token,
            issued_at: now,
            rotating: false,
        })
    }

    /// The nexus took the newest: forgets the one before.
    ///
    /// # Errors
    /// When the disk says no; harmless.
    pub fn forget_before(&mut self) -> Result<(), TokenFileError> {
        if self.tokens.before.is_none() {
            return Ok(());
        }
        self.keep(Tokens {
            before: None,
            ..self.tokens.clone()
        })
    }

    /// The nexus does not know the newest: the one before is in use again, and must be exchanged.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn fall_back(&mut self) -> Result<bool, TokenFileError> {
        let Some(before) = self.tokens.before.clone() else {
            return Ok(false);
        };
        self.keep(Tokens {
            current: before,
            before: None,
            issued_at: self.tokens.issued_at,
            rotating: true,
        })?;
        Ok(true)
    }

    /// Takes what somebody else wrote here since, `agent register` for one: that is newer. Whether there was something else.
    ///
    /// # Errors
    /// When it cannot be read; what was known stays.
    pub fn read_again(&mut self) -> Result<bool, TokenFileError> {
        let Some(directory) = self.path.parent() else {
            return Ok(false);
        };
        let there = Self::open(directory, Arc::clone(&self.disk))?;
        let is_other = there.tokens.current != self.tokens.current;
        if is_other {
            self.tokens = there.tokens;
        }
        Ok(is_other)
    }

    fn keep(&mut self, tokens: Tokens) -> Result<(), TokenFileError> {
        let secret = |token: &Token| Zeroizing::new(token.reveal().to_owned());
        let written = Written {
            token: secret(&tokens.current),
            before: tokens.before.as_ref().map(secret),
            issued_at: tokens.issued_at,
            rotating: tokens.rotating,
        };
        let bytes = serde_json::to_vec(&written)
            .map(Zeroizing::new)
            .map_err(std::io::Error::other);
        bytes
            .and_then(|bytes| self.disk.replace(&self.path, &bytes))
            .map_err(|source| TokenFileError::Disk {
                path: self.path.clone(),
                doing: "written",
                source,
            })?;
        self.tokens = tokens;
        Ok(())
    }
}
