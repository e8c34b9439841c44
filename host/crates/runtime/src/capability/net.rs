//! Which addresses and names a skill may reach through sockets. It never opens one.
