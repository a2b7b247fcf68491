"""Roles and capabilities: the one table that says who may do what.

A person holds roles through :class:`magnetfund.core.models.RoleGrant`; services ask for a
capability, never for a role.  Maker is never checker, by person and not by role: see
:func:`magnetfund.core.services.access.require_other_person`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from magnetfund.kernel.errors import NotAllowed


class Role(StrEnum):
    INVESTOR = "investor"
    ADVISER = "adviser"
    OPERATOR = "operator"
    RISK_OFFICER = "risk_officer"
    ACCOUNTANT = "accountant"
    CONTROLLER = "controller"
    COMPLIANCE = "compliance"
    DIRECTOR = "director"
    COORDINATOR = "coordinator"
    SERVICE = "service"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Capability(StrEnum):
    PORTAL_VIEW = "portal.view"
    PORTAL_READ = "portal.read"
    DESK_VIEW = "desk.view"
    ORDER_SUBMIT = "order.submit"
    MARKET_IMPORT = "market.import"
    RESEARCH_RUN = "research.run"
    TRADING_STOP = "trading.stop"
    LIMITS_PROPOSE = "limits.propose"
    LIMITS_APPROVE = "limits.approve"
    FUSE_RESET = "fuse.reset"
    FUSE_DISARM = "fuse.disarm"
    NAV_PREPARE = "nav.prepare"
    NAV_APPROVE = "nav.approve"
    RECON_WORK = "recon.work"
    DEALING_PROCESS = "dealing.process"
    DEALING_APPROVE = "dealing.approve"
    DEALING_SUSPEND = "dealing.suspend"
    FUND_SET_UP = "fund.set_up"
    ACCOUNTS_PROPOSE = "accounts.propose"
    ACCOUNTS_APPROVE = "accounts.approve"
    PAYMENTS_APPROVE = "payments.approve"
    PAYMENTS_DIRECT = "payments.direct"
    POCKETS_APPROVE = "pockets.approve"
    TERMS_PROPOSE = "terms.propose"
    TERMS_APPROVE = "terms.approve"
    RESTATE_APPROVE = "restate.approve"
    PAPERS_VIEW = "papers.view"
    #: Reads who holds units, orders and is paid, by name, and accounts by their whole number.
    HOLDERS_VIEW = "holders.view"
    KYC_VIEW = "kyc.view"
    KYC_REVIEW = "kyc.review"
    KYC_APPROVE = "kyc.approve"
    KYC_SENIOR = "kyc.senior_approve"
    ERASE = "erase"
    OVERRIDE_SIGN = "override.sign"
    DRAWDOWN_SECOND_RESET = "fuse.second_drawdown_reset"
    API_EXECUTE = "api.execute"
    API_READ = "api.read"
    ADMIN_VIEW = "admin.view"
    ROLES_MANAGE = "roles.manage"
    ROLES_APPROVE = "roles.approve"
    SETTINGS_MANAGE = "settings.manage"


_STAFF_BASE = frozenset({Capability.DESK_VIEW, Capability.TRADING_STOP, Capability.API_READ})

CAPABILITIES: Mapping[Role, frozenset[Capability]] = {
    Role.INVESTOR: frozenset({Capability.PORTAL_VIEW}),
    # Reads what a holder lets him read, and writes nothing.
    Role.ADVISER: frozenset({Capability.PORTAL_READ}),
    Role.OPERATOR: _STAFF_BASE
    | {Capability.ORDER_SUBMIT, Capability.MARKET_IMPORT, Capability.RESEARCH_RUN},
    Role.RISK_OFFICER: _STAFF_BASE
    | {
        Capability.LIMITS_PROPOSE,
        Capability.LIMITS_APPROVE,
        Capability.FUSE_RESET,
        Capability.FUSE_DISARM,
        Capability.RESEARCH_RUN,
        Capability.ADMIN_VIEW,
    },
    Role.ACCOUNTANT: _STAFF_BASE
    | {
        Capability.NAV_PREPARE,
        Capability.RECON_WORK,
        Capability.DEALING_PROCESS,
        Capability.FUND_SET_UP,
        Capability.TERMS_PROPOSE,
        Capability.ACCOUNTS_PROPOSE,
        Capability.ADMIN_VIEW,
        Capability.PAPERS_VIEW,
        Capability.HOLDERS_VIEW,
    },
    Role.CONTROLLER: _STAFF_BASE
    | {
        Capability.NAV_APPROVE,
        Capability.DEALING_APPROVE,
        Capability.DEALING_SUSPEND,
        Capability.TERMS_APPROVE,
        Capability.ACCOUNTS_APPROVE,
        Capability.PAYMENTS_APPROVE,
        Capability.RESTATE_APPROVE,
        Capability.ADMIN_VIEW,
        Capability.PAPERS_VIEW,
        Capability.HOLDERS_VIEW,
    },
    Role.COMPLIANCE: _STAFF_BASE
    | {
        Capability.KYC_VIEW,
        Capability.KYC_REVIEW,
        Capability.KYC_APPROVE,
        Capability.ERASE,
        Capability.ADMIN_VIEW,
        Capability.PAPERS_VIEW,
        Capability.HOLDERS_VIEW,
    },
    Role.DIRECTOR: _STAFF_BASE
    | {
        Capability.OVERRIDE_SIGN,
        Capability.PAYMENTS_DIRECT,
        Capability.POCKETS_APPROVE,
        Capability.KYC_VIEW,
        Capability.KYC_SENIOR,
        Capability.DEALING_APPROVE,
        Capability.DEALING_SUSPEND,
        Capability.ROLES_APPROVE,
        Capability.DRAWDOWN_SECOND_RESET,
        Capability.RESEARCH_RUN,
        Capability.ADMIN_VIEW,
        Capability.PAPERS_VIEW,
        Capability.HOLDERS_VIEW,
    },
    Role.COORDINATOR: frozenset(
        {Capability.API_READ, Capability.API_EXECUTE, Capability.TRADING_STOP}
    ),
    Role.SERVICE: frozenset({Capability.API_READ, Capability.TRADING_STOP}),
    Role.AUDITOR: frozenset(
        {
            Capability.DESK_VIEW,
            Capability.API_READ,
            Capability.ADMIN_VIEW,
            Capability.PAPERS_VIEW,
            Capability.HOLDERS_VIEW,
            Capability.KYC_VIEW,
        }
    ),
    Role.ADMINISTRATOR: _STAFF_BASE
    | {Capability.ADMIN_VIEW, Capability.ROLES_MANAGE, Capability.SETTINGS_MANAGE},
}

#: Roles whose holders are people of the house (desk and, where granted, admin).
STAFF_ROLES = frozenset(
    {
        Role.OPERATOR,
        Role.RISK_OFFICER,
        Role.ACCOUNTANT,
        Role.CONTROLLER,
        Role.COMPLIANCE,
        Role.DIRECTOR,
        Role.AUDITOR,
        Role.ADMINISTRATOR,
    }
)


def capabilities_of(roles: Iterable[Role | str]) -> frozenset[Capability]:
    """Union of what the roles may do."""
    return frozenset().union(*(CAPABILITIES[Role(role)] for role in roles))


def roles_with(capability: Capability) -> tuple[Role, ...]:
    """The roles that hold a capability."""
    return tuple(role for role, held in CAPABILITIES.items() if capability in held)


def refusal_of(capability: Capability) -> NotAllowed:
    """What somebody is told whose roles do not include a step."""
    return NotAllowed(
        f"your role does not include this step (capability {capability.value})",
        details={"capability": capability.value},
    )
