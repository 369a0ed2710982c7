"""The calls, by what they are about: one function from request to response each."""
