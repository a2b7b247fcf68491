"""Check every component of the platform and list problems. Exits with status 1 on failure."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from magnetfund.core.commands import FundCommand
from magnetfund.operations.checkup import examine


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        findings = examine()
        for finding in findings:
            self.say(f"{finding.state:<5} {finding.part:<11} {finding.words}")
        failed = [finding.part for finding in findings if finding.state == "fail"]
        result = {"healthy": not failed, "findings": [asdict(finding) for finding in findings]}
        if failed:
            if options["json"]:
                self.print_json(result)
            sys.exit(1)
        return result
