"""Source of kernels for `numba.cuda`."""
