"""The slow device for checking: every primitive by its meaning in NumPy."""
