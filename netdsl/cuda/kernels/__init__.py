"""Kernels of the primitives, each with its plan."""
