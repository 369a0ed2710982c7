"""The scenarios: each a coroutine function of a seed and a size that returns what it found."""
