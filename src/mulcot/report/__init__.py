"""What a report says, computed from a run folder's files alone: no model, no torch, nothing asked again."""
