"""Transfer: starting from other weights, stages, trunks that are computed once, and averages of what was trained."""
