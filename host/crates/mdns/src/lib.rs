//! Finding each other in the LAN by mDNS: who is there is a hint and never trusted.
