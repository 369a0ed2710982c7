"""The proof: whole clusters under load and attack, and a checker of what their jobs really did. ``make prove``.

Truth is what jobs did, not what the scheduler says of them: each run writes a line to a file outside the store
(`prove.record`), each client notes what it was answered (`prove.client`), and `prove.checker` compares both with the
rows of the store (`prove.ledger`). Who is hurt, when and how is drawn from a seed (`prove.nemesis`).
"""
