"""Other schedulers on the same database in the same run, each in its tuned form: ``make bench-peers``."""
