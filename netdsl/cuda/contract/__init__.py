"""Contractions on the GPU: one generated product of matrices whose operands are found by index maps."""
