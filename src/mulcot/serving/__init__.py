"""A trained model as an HTTP service: requests become batches, answers can be watched while they are written."""
