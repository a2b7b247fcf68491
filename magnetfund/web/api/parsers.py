"""Bodies of the API: JSON that can be stored and answered, anything else is malformed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """JSON parser that rejects lone surrogates and excessive nesting."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            data = super().parse(stream, media_type, parser_context)
            json.dumps(data, ensure_ascii=False).encode()
        except RecursionError:
            raise ParseError("the body is nested too deeply") from None
        except UnicodeEncodeError:
            raise ParseError(
                "the body contains an invalid Unicode character (lone surrogate)"
            ) from None
        return data
