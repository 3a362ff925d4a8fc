"""Answers of a trained model: for one post, for a batch, or for a large file that can be continued."""
