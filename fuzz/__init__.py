"""Hostile requests: whatever bytes a client sends, it gets a documented answer. ``make fuzz``.

Requests are drawn from a seed: for each call of the OpenAPI document what it allows, bent in one place or in several
(`fuzz.draw`), and bytes that are hardly HTTP (`fuzz.raw`). `fuzz.judge` compares each answer with the document.
Besides, schemathesis draws what the document allows and what it forbids (`fuzz.document`).
"""
