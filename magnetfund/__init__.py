"""Kernel, core, API, portal, desk and operations of Magnet Fund."""
