"""Everything that waits for a person, in one list: kind, role, age, and the page that clears it.

A source is either rows of a table or a state that the page has read already.  All row sources are
read by one statement, because every page of the desk shows how many tasks there are.  A part of the
platform adds its own to the table of its module; each source is bounded, oldest first.
"""

from magnetfund.web.desk.open_work.listing import keep_role, list_open_work, roles_of
from magnetfund.web.desk.open_work.tasks import Facts, OpenWork

__all__ = ["Facts", "OpenWork", "keep_role", "list_open_work", "roles_of"]
