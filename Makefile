# A thin front of bootstrap.py, which works without make too.
#   make test ARGS="risk/tests/test_fuse.py -k trip"
PYTHON ?= python3

VERBS = run test test-fast check bench drill screenshots lock
.PHONY: $(VERBS)
$(VERBS):
	@$(PYTHON) bootstrap.py $@ $(ARGS)
