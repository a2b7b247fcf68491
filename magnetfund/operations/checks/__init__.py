"""Checks that read the source text alone: they need no Django and no installed package."""
