"""The plugin of the product vps4: its jobs, the listener of its backups, and what it takes to see them at work."""
