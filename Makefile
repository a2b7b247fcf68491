# A thin front of bootstrap.py, which works without make too.
PYTHON ?= python3

.PHONY: run test check bench drill screenshots lock
run test check bench drill screenshots lock:
	@$(PYTHON) bootstrap.py $@
