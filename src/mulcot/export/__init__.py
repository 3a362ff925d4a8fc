"""What leaves the house in other tools' forms."""
