"""Several models and baselines on the same examples: their predictions and scores."""
