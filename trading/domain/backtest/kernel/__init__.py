"""The compiled twin of the readable engine: flat arrays in, flat arrays out.

``layout`` names the columns, ``steps`` and ``orders`` hold the loop in plain Python that numba
compiles, ``run`` packs and unpacks.  Importing this package imports no numba; running it does.
"""
