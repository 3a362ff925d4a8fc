"""What extractors compute with; everything here needs torch."""
