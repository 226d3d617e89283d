"""Contractions: geometry, plans, packing, micro-kernels and the loops around them."""
