"""What leaves the database each day so that a later change of the past shows: root and rows."""
