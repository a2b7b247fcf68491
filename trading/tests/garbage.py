"""Garbage as an exchange might send it: each kind spoils one message of a stream or one answer."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]
Spoil = Callable[[Message, random.Random], Any]
HOUR_MS = 3_600_000
OTHER = {"BTCUSDT": "ETHUSDT", "ETHUSDT": "BTCUSDT"}


def put(**values: Any) -> Spoil:
    """The message with other values; a callable makes one of the old one."""

    def spoil(message: Message, rng: random.Random) -> Message:
        for name, value in values.items():
            message[name] = value(message[name]) if callable(value) else value
        return message

    return spoil


def bar(**values: Any) -> Spoil:
    """A candle closed with other values."""

    def spoil(message: Message, rng: random.Random) -> Message:
        message["k"]["x"] = True
        put(**values)(message["k"], rng)
        return message

    return spoil


def order(**values: Any) -> Spoil:
    """A forced order with other values."""

    def spoil(message: Message, rng: random.Random) -> Message:
        at, price = message["E"], message["p"]
        known = {"s": message["s"], "S": "SELL", "ap": price, "z": "3.0", "T": at}
        put(**values)(known, rng)
        return {"e": "forceOrder", "E": at, "o": known}

    return spoil


def level(price: Any, quantity: Any) -> Spoil:
    """A level of the book with other values."""

    def spoil(message: Message, rng: random.Random) -> Message:
        message[rng.choice("ab")].insert(rng.randrange(5), [price, quantity])
        return message

    return spoil


def without(name: str) -> Spoil:
    def spoil(message: Message, rng: random.Random) -> Message:
        message.pop(name, None)
        return message

    return spoil


def times(factor: float) -> Callable[[Any], str]:
    return lambda text: repr(float(text) * factor)


def later(ms: int) -> Callable[[Any], int]:
    return lambda stamp: int(stamp) + ms


def text(make: Callable[[str, random.Random], Any]) -> Spoil:
    """Something else than JSON of a message: the text itself is spoiled."""

    def spoil(message: Message, rng: random.Random) -> Any:
        return make(json.dumps(message), rng)

    return spoil


def swap_sides(message: Message, rng: random.Random) -> Message:
    message["b"], message["a"] = message["a"], message["b"]
    return message


#: By kind: the channel whose message is spoiled, and how.
STREAM: dict[str, tuple[str, Spoil]] = {
    "mark NaN": ("mark", put(p="NaN")),
    "mark infinite": ("mark", put(p="-Infinity")),
    "mark zero": ("mark", put(p="0.00000000")),
    "mark negative": ("mark", put(p=lambda old: "-" + old)),
    "mark 1e308": ("mark", put(p="1e308")),
    "mark out of any range": ("mark", put(p="1e400000")),
    "mark empty": ("mark", put(p="")),
    "mark no number": ("mark", put(p="abc")),
    "mark a JSON number": ("mark", put(p=float)),
    "mark null": ("mark", put(p=None)),
    "mark a list": ("mark", put(p=lambda old: [old])),
    "mark missing": ("mark", without("p")),
    "mark with an underscore": ("mark", put(p=lambda old: old[0] + "_" + old[1:2])),
    "mark in other digits": ("mark", put(p="\uff11\uff12\uff13")),
    "mark x10": ("mark", put(p=times(10.0))),
    "mark x0.1": ("mark", put(p=times(0.1))),
    "mark x1000": ("mark", put(p=times(1000.0))),
    "mark x1.2": ("mark", put(p=times(1.2))),
    "mark of another symbol": ("mark", put(s=lambda old: OTHER[old])),
    "mark of no symbol": ("mark", put(s="NOBODY")),
    "mark of symbol null": ("mark", put(s=None)),
    "mark an hour ahead": ("mark", put(E=later(HOUR_MS))),
    "mark in microseconds": ("mark", put(E=lambda old: old * 1000)),
    "mark an hour old": ("mark", put(E=later(-HOUR_MS), p=times(1.05))),
    "mark at no time": ("mark", without("E")),
    "mark at a text": ("mark", put(E="soon")),
    "mark again, other price": ("mark", put(E=later(-1), p=times(1.05))),
    "funding of 500 %": ("mark", put(r="5.0")),
    "funding NaN": ("mark", put(r="NaN")),
    "funding at an odd stamp": ("mark", put(r="0.05", T=lambda old: old - HOUR_MS + 777)),
    "best NaN": ("best", put(b="NaN")),
    "best sides swapped": ("best", swap_sides),
    "best x10": ("best", put(a=times(10.0))),
    "best zero": ("best", put(b="0.00")),
    "candle closed early": ("kline", bar()),
    "candle x10": ("kline", bar(c=times(10.0), h=times(10.0), t=later(-HOUR_MS))),
    "candle of a wick x0.1": ("kline", bar(l=times(0.1), t=later(-60_000))),
    "candle high below low": ("kline", bar(h=times(0.5))),
    "candle off the grid": ("kline", bar(t=later(-30_001))),
    "candle NaN": ("kline", bar(o="NaN")),
    "candle of no length": ("kline", bar(i="7m")),
    "book price NaN": ("depth", level("NaN", "1.0")),
    "book quantity 1e300": ("depth", level("60000.0", "1e300")),
    "book quantity negative": ("depth", level("60000.0", "-5.0")),
    "book level no list": ("depth", put(b="x")),
    "forced order x10": ("mark", order(ap=times(10.0))),
    "forced order in the future": ("mark", order(T=later(HOUR_MS))),
    "forced order NaN": ("mark", order(z="NaN")),
    "text torn": ("mark", text(lambda whole, rng: whole[: rng.randrange(2, len(whole))])),
    "text no JSON": ("mark", text(lambda whole, rng: "<html>502 Bad Gateway</html>")),
    "text empty": ("mark", text(lambda whole, rng: "")),
    "text of bytes": ("mark", text(lambda whole, rng: rng.randbytes(200))),
    "text a number": ("mark", text(lambda whole, rng: "[1, null, {}]")),
    "text deep": ("mark", text(lambda whole, rng: "{\"a\":" * 5_000)),
    "text huge": ("mark", text(lambda whole, rng: json.dumps({"e": "x" * 500_000}))),
}  # fmt: skip


def rows(change: Callable[[list[Any], random.Random], Any]) -> Spoil:
    """An answer of bars with one of them changed."""

    def spoil(answer: Any, rng: random.Random) -> Any:
        if isinstance(answer, list) and answer:
            row = rng.randrange(len(answer))
            answer[row] = change(list(answer[row]), rng)
        return answer

    return spoil


def cell(index: int, value: Any) -> Spoil:
    def change(row: list[Any], rng: random.Random) -> list[Any]:
        row[index] = value(row[index]) if callable(value) else value
        return row

    return rows(change)


def answer(value: Any) -> Spoil:
    return lambda whole, rng: copy.deepcopy(value)


def each(**values: Any) -> Spoil:
    def spoil(whole: Any, rng: random.Random) -> Any:
        for row in whole if isinstance(whole, list) else [whole]:
            put(**values)(row, rng)
        return whole

    return spoil


#: By kind: the path whose answer is spoiled, and how.
REST: dict[str, tuple[str, Spoil]] = {
    "bars close NaN": ("klines", cell(4, "NaN")),
    "bars close x10": ("klines", cell(4, times(10.0))),
    "bars close x0.1": ("klines", cell(4, times(0.1))),
    "bars close null": ("klines", cell(4, None)),
    "bars low of zero": ("klines", cell(3, "0")),
    "bars time null": ("klines", cell(0, None)),
    "bars time off the grid": ("klines", cell(0, later(17_001))),
    "bars time of tomorrow": ("klines", cell(0, later(24 * HOUR_MS))),
    "bars short of columns": ("klines", rows(lambda row, rng: row[:3])),
    "bars no lists": ("klines", rows(lambda row, rng: "bar")),
    "bars an object": ("klines", answer({"a": 1})),
    "bars reversed": ("klines", lambda whole, rng: list(reversed(whole))),
    "bars twice": ("klines", lambda whole, rng: [bar for bar in whole for _ in (0, 1)]),
    "prices zero": ("premiumIndex", each(markPrice="0")),
    "prices NaN": ("premiumIndex", each(markPrice="NaN")),
    "prices no number": ("premiumIndex", each(markPrice="abc")),
    "prices x10": ("premiumIndex", each(markPrice=times(10.0))),
    "prices an hour ahead": ("premiumIndex", each(time=later(HOUR_MS))),
    "prices at no time": ("premiumIndex", each(time=None)),
    "prices of nobody": ("premiumIndex", each(symbol="NOBODY")),
    "prices no list": ("premiumIndex", answer("later")),
    "funding 500 %": ("premiumIndex", each(lastFundingRate="5.0")),
    "clock null": ("time", answer({"serverTime": None})),
    "clock a text": ("time", answer({"serverTime": "noon"})),
    "clock in seconds": ("time", each(serverTime=lambda old: old // 1000)),
}  # fmt: skip
