"""Optimisers that look at the whole training set, or a large batch, several times before they move."""
