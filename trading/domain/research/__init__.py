"""Research: from a question about a strategy to figures that stand beside the trials it took.

``request`` says what is to be run and refuses what cannot be, ``run`` runs it in the compiled
kernel, ``figures`` turns a result into plain data for pages, files and the API, ``trials`` judges
a result by everything that was tried before it.  Nothing here knows a database.
"""
