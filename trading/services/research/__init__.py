"""Research as steps that write: ask for a run, work on it, count its trials."""
