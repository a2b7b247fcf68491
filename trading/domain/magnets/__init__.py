"""Magnets: prices where orders plausibly cluster, the zones they form, and what pulls a bar.

One module a family of levels; ``zones`` joins them, ``history`` walks bars in a batch,
``stream`` one at a time, with identical results.  Nothing here touches a file or a clock.
"""
