"""Search of settings: what is searched, what is proposed next, what was tried."""
