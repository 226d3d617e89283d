"""Measuring: where the time of a network goes, and how it compares with that of other programs."""
