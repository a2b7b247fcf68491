"""Long checks that `make drill` runs after the drill-marked tests."""
