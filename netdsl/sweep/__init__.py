"""A search over settings: what to try, the trainings as processes of their own, and what they came to."""
