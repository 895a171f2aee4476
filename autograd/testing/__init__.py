"""Testing derivatives."""
