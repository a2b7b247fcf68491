"""The droplet contract: health, capabilities, state and dependencies of service 25."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.live import live_client
from magnetfund.core.models import AuditEvent, Heartbeat
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.web.api.access import needs
from magnetfund.web.api.errors import RETRY_SECONDS
from magnetfund.web.api.vitals import STARTED_AT, read_vitals
from magnetfund.web.public.busy import Kept
from risk.services.fuse import state_of
from trading.models import Trade
from trading.selectors import latest_valuation
from trading.services.engine import engine_state_of

UDC_VERSION = "1.0"
AUDIT_CHAIN = "main"
NAME = "Treasury Magnet"
FEATURES = [
    "algorithmic_trading",
    "survival_fuse",
    "magnet_detection",
    "position_sizing",
    "investor_portal",
    "real_time_metrics",
    "double_entry_ledger",
    "nav_four_eyes",
]
ENDPOINTS = [
    ("/health", "GET", "Service health and trading status."),
    ("/capabilities", "GET", "Capabilities of the service."),
    ("/state", "GET", "Load and mode of this process."),
    ("/dependencies", "GET", "Dependencies and their current status."),
    ("/api/leverage/calculate", "POST", "Leverage for one set of inputs, with every cap."),
    (
        "/api/sizing/calculate",
        "POST",
        "Position size for one set of inputs, with the binding limit.",
    ),
    ("/api/performance/current", "GET", "The fund's current figures."),
    ("/api/performance/history", "GET", "The fund's value over time."),
    ("/api/trades/recent", "GET", "Closed trades, newest first."),
    ("/api/positions/open", "GET", "Open positions."),
    ("/api/fuse/status", "GET", "The survival fuse."),
    ("/api/trade/execute", "POST", "Place one order after the pre-trade check (idempotent)."),
    ("/api/investor/dashboard", "GET", "What the signed-in investor holds."),
    ("/api/investor/performance", "GET", "The signed-in investor's values over time."),
    ("/api/investor/withdraw", "POST", "Order a redemption of one's own units (idempotent)."),
    ("/api/system/emergency-stop", "POST", "Stop trading and close all positions."),
]


def _trading_status(book: str) -> str:
    is_trading = state_of(book) == "ARMED" and engine_state_of(book) == "READY"
    return "active" if is_trading else "inactive"


def _chain_head(book: str) -> str:
    """SHA-256 over the heads of the book's trade list and the audit chain."""
    audit = AuditEvent.objects.filter(chain=AUDIT_CHAIN)
    newest = audit.order_by("-seq").values_list("row_hash", flat=True).first()
    trades = Trade.objects.filter(book=book)
    trade = trades.order_by("-closed_at").values_list("id", flat=True).first()
    head = (bytes(newest) if newest else b"") + str(trade or "").encode()
    return hashlib.sha256(head).hexdigest()


def _facts(book: str) -> dict[str, Any]:
    """What /health says of the book; read once for everybody who asks within some seconds."""
    facts: dict[str, Any] = {"status": _trading_status(book), "proof": _chain_head(book)}
    newest = latest_valuation(book)
    if newest is not None:
        change = newest.equity - newest.equity / (newest.unit_value / newest.day_start_unit_value)
        facts["yield_usd"] = round(float(change), 2)
    return facts


_health: Kept[dict[str, Any]] = Kept()


class HealthView(APIView):
    """Public health check. Returns 503 when the database is unavailable. Not rate-limited."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes: list[Any] = []

    @extend_schema(operation_id="health", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        body = {
            "id": settings.DROPLET_ID,
            "name": NAME,
            "steward": settings.STEWARD,
            "status": "error",
            "endpoint": settings.PUBLIC_URL,
            "proof": hashlib.sha256(b"").hexdigest(),
            "cost_usd": 0,
            "yield_usd": 0,
            "updated_at": isoformat_z(utc_now()),
            "version": settings.VERSION,
            "uptime_seconds": int(time.time() - STARTED_AT),
        }
        try:
            body.update(_health.get(lambda: _facts(settings.MAGNET_BOOK)))
        except DatabaseError:
            return Response(
                {**body, "message": "the database is unavailable"},
                status=503,
                headers={"Retry-After": RETRY_SECONDS},
            )
        return Response(body)


class CapabilitiesView(APIView):
    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []

    @extend_schema(operation_id="capabilities", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        return Response(
            {
                "version": settings.VERSION,
                "features": FEATURES,
                "dependencies": ["registry", "orchestrator", "dashboard"],
                "udc_version": UDC_VERSION,
                "metadata": {
                    "formula": "L = (D x S) / (1 + C + V)",
                    "max_leverage": "3.0x",
                    "fuse_threshold": "-2.5%",
                },
                "service_name": NAME,
                "droplet_id": settings.DROPLET_ID,
                "supported_operations": ["emergency_stop", "status"],
                "integration_endpoints": [
                    {"path": path, "method": method, "description": text}
                    for path, method, text in ENDPOINTS
                ],
            }
        )


class StateView(APIView):
    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="state", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        fresh = utc_now()
        beats = list(Heartbeat.objects.all())
        alive = [b for b in beats if (fresh - b.seen_at).total_seconds() < 120]
        return Response(
            {
                "status": _trading_status(settings.MAGNET_BOOK),
                "mode": settings.TRADING_MODE,
                **read_vitals(),
                "last_restart": isoformat_z(_started()),
                "websocket_connections": 0,
                "active_workers": sum(1 for b in alive if b.part == "worker"),
                "metrics": {
                    "parts": {
                        f"{b.part}/{b.instance}": isoformat_z(b.seen_at)
                        for b in sorted(beats, key=lambda b: (b.part, b.instance))
                    }
                },
            }
        )


class DependenciesView(APIView):
    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="dependencies", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        return Response(
            {
                "required": [
                    _remote(1, "Registry", settings.REGISTRY_URL, "service tokens"),
                    _remote(10, "Orchestrator", settings.ORCHESTRATOR_URL, "task messages"),
                    {
                        "service": "binance_api",
                        "status": "not_configured",
                        "impact": "prices come from the simulated market",
                    },
                    {
                        "service": "postgresql",
                        "status": _database(),
                        "impact": "the platform is unavailable",
                    },
                ],
                "optional": [
                    _remote(2, "Dashboard", settings.DASHBOARD_URL, "no metrics on the dashboard"),
                    {
                        "service": "redis",
                        "status": _redis(),
                        "impact": "live updates and background jobs pause; trading continues",
                    },
                    {
                        "service": "email",
                        "status": "connected" if settings.IS_PRODUCTION else "not_configured",
                        "impact": "no emails are sent",
                    },
                    {
                        "service": "s3",
                        "status": "not_configured",
                        "impact": "backups are kept on local disk only",
                    },
                ],
                "missing": [],
            }
        )


def _started() -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(STARTED_AT, UTC)


def _remote(number: int, name: str, url: str, impact: str) -> dict[str, Any]:
    beat = Heartbeat.objects.filter(part="remote", instance=name.lower()).first() if url else None
    is_fresh = beat is not None and (utc_now() - beat.seen_at).total_seconds() < 180
    status = "not_configured" if not url else "connected" if is_fresh else "disconnected"
    return {"id": number, "name": name, "status": status, "impact": impact}


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "disconnected"
    return "connected"


def _redis() -> str:
    try:
        live_client().ping()
    except redis.RedisError:
        return "disconnected"
    return "connected"


class DatabaseHealthView(APIView):
    """Latency of one round trip and whether the schema is current."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []

    @extend_schema(operation_id="health_database", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        from django.db.migrations.executor import MigrationExecutor

        began = time.perf_counter()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            latency = (time.perf_counter() - began) * 1000.0
            executor = MigrationExecutor(connection)
            waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError:
            return Response({"status": "error", "latency_ms": None, "migrations": "unknown"}, 503)
        return Response(
            {
                "status": "active",
                "latency_ms": round(latency, 3),
                "migrations": "current" if not waiting else f"{len(waiting)} waiting",
            }
        )
