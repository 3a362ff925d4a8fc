"""Data and models in the forms of other tools."""
