"""The ways to repeat: one file each."""
