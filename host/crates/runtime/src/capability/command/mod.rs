//! Programs a skill may run. Never through a shell.
