"""What people and programs reach: desk, portal, public pages, API, administration."""
