"""The kernels of the primitives but `contract`: a planner each."""
