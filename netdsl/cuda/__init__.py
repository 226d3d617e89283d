"""NVIDIA GPUs: kernels as source for numba.cuda; being built, so no device by name yet."""
