"""How a teacher is reached over HTTP: throttled, repeated, and remembered in a ledger."""
