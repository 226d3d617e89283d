"""What a person meets: commands as processes on a pseudo-terminal, and their screens."""
