"""Django's door to the stop, for its list of commands: ``manage.py stop`` runs without Django."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from magnetfund.operations.stop_by_command import HELP, StopLine, add_arguments, find_urls, run


class Command(BaseCommand):
    help = HELP
    #: Whoever stops waits for it.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        urls, _ = find_urls(os.environ)
        code = run(StopLine(urls), options, out=self.stdout, err=self.stderr)
        if code:
            sys.exit(code)
