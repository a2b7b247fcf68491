"""One public call to an exchange: retried where that is polite, and refused in one clear way.

Reads alone are retried.  A venue that asks us to slow down (429, 418) is obeyed for as long as its
``Retry-After`` says, up to :data:`WAIT_MAX_SECONDS`; a lost connection, a gateway's page or a torn
answer is asked for again after a short pause.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from magnetfund.kernel.errors import InvalidInput, Unavailable

ATTEMPTS = 4
#: What an answer of another shape than its client reads makes of it.
TORN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
WAIT_MAX_SECONDS = 120.0
Answer = TypeVar("Answer")


def ask_exchange(
    client: Any,
    call: Callable[[], Answer],
    *,
    symbol: str = "",
    pause_seconds: float = 1.0,
    sleep: Callable[[float], None] | None = None,
) -> Answer:
    """The answer of a read-only call.

    Raises :class:`InvalidInput` (``unknown_instrument``) for a symbol that the venue does not list
    and :class:`Unavailable` (``exchange_away``) after :data:`ATTEMPTS` failures.
    """
    import ccxt

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except ccxt.BadSymbol:
            raise InvalidInput(
                f"{client.id} does not list {symbol}", code="unknown_instrument"
            ) from None
        except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as error:
            wait = _retry_after(client)
            if attempt == ATTEMPTS or wait > WAIT_MAX_SECONDS:
                raise exchange_away(client.id, error) from None
        except (ccxt.NetworkError, ccxt.BadResponse, *TORN) as error:
            wait = pause_seconds * attempt
            if attempt == ATTEMPTS:
                raise exchange_away(client.id, error) from None
        except ccxt.BaseError as error:
            raise exchange_away(client.id, error) from None
        (sleep or time.sleep)(wait)
    raise AssertionError("unreachable")


def ask_once(client: Any, call: Callable[[], Answer], *, symbol: str = "") -> Answer:
    """The answer of a read-only call that its caller asks again soon; raises like
    :func:`ask_exchange`, at the first failure."""
    import ccxt

    try:
        return call()
    except ccxt.BadSymbol:
        raise InvalidInput(
            f"{client.id} does not list {symbol or 'an instrument'}", code="unknown_instrument"
        ) from None
    except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as error:
        raise exchange_away(client.id, error, wait_seconds=_retry_after(client)) from None
    except (ccxt.BaseError, *TORN) as error:
        raise exchange_away(client.id, error) from None


def refuse_torn_answers(client: Any) -> None:
    """Make an answer that is no JSON an error of the client.

    ccxt hands on the text of a torn answer, out of which it then reads an empty list of candles: a
    history would end there, and nobody would know.
    """
    import ccxt

    whole = client.fetch

    def fetch(*arguments: Any, **options: Any) -> Any:
        answer = whole(*arguments, **options)
        if not isinstance(answer, (dict, list)):
            raise ccxt.BadResponse(f"{client.id} answered something that is no JSON")
        return answer

    client.fetch = fetch


#: Request weight that a venue allows a minute, where it states none (Binance's futures: 2,400).
WEIGHT_LIMIT = 2_400
_USED = "x-mbx-used-weight-1m"


def budget_used(client: Any) -> float:
    """Share of the minute's request budget that is used, by the venue's last answer.

    0 where the venue tells none.
    """
    headers = getattr(client, "last_response_headers", None) or {}
    text = next((value for name, value in headers.items() if name.lower() == _USED), "0")
    try:
        return float(text) / WEIGHT_LIMIT
    except ValueError:
        return 0.0


def exchange_away(name: str, error: Exception, *, wait_seconds: float = 0.0) -> Unavailable:
    """The one clear line where an exchange cannot be reached, with the next step.

    ``wait_seconds`` is how long the venue asks to be left alone, told in the details.
    """
    return Unavailable(
        f"{name} cannot be reached ({type(error).__name__}); check the network, a proxy "
        f"(EXCHANGE_PROXY) or another host (EXCHANGE_HOST)",
        code="exchange_away",
        details={"cause": type(error).__name__, "wait_seconds": wait_seconds},
    )


def _retry_after(client: Any) -> float:
    """Seconds that the venue's last answer asks us to wait; one where it names none."""
    headers = getattr(client, "last_response_headers", None) or {}
    text = next((v for k, v in headers.items() if k.lower() == "retry-after"), "1")
    try:
        return max(0.0, float(text))
    except ValueError:
        return 1.0
