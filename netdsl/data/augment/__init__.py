"""Random changes of training samples: what the list `augment` may hold, and how it is made.

A list becomes leaves (`choose`), leaves become stages (`stages`), and stages run on pictures (`run`) by kernels that
Numba compiles (`kernels`).  What is drawn for a sample depends on (seed, epoch, place in the list, sample) alone.
"""
