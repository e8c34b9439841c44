//! An agent's half of the fleet: it enrols, tells how it is, asks for commands, scans when it is time, and keeps what it saw on disk
//! until its nexus has it. It runs no skill itself and knows no other agent.
