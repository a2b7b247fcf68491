"""Stablecoins are valued by their rates: an entry of each NAV, and a term of par that is signed."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

SAY = r"""
CREATE FUNCTION investors_say_par(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN t.is_at_par THEN 'Carry ' ELSE 'Carry no longer ' END || wall_line(t.coin)
      || ' at par in ' || wall_line(f.name) || ' (' || wall_line(f.code) || ')' || E'\n'
      || CASE WHEN t.is_at_par THEN 'Void at a NAV whose rate departs from 1 by more than 0.5 %'
        ELSE 'Its rate is taken instead' END || E'\n' || 'From the NAV of: '
      || to_char(t.first_day, 'YYYY-MM-DD') || E'\n' || 'Resolved: ' || wall_line(t.reference)
      || E'\n' || 'Proposed by: ' || wall_account(t.proposed_by_id) || ', '
      || wall_when(t.proposed_at) || E'\n' || 'Term: ' || t.id
    FROM investors_parterm t JOIN investors_fund f ON f.id = t.fund_id
    WHERE t.id = p_subject AND t.decided_at IS NULL
$$;
REVOKE ALL ON FUNCTION investors_say_par FROM PUBLIC;
"""

WALLS = r"""
REVOKE ALL ON "investors_parterm" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_parterm" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_parterm" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason") ON "investors_parterm"
  TO fa_app, fa_gateway;

-- It comes undecided, is decided once by another person's signature, and never for a NAV of before.
CREATE FUNCTION investors_par_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) <> 0 THEN
      RAISE EXCEPTION 'par: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'par: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved IS NULL THEN
    RETURN new;
  END IF;
  PERFORM authority_two_people('par', old.proposed_by_id, new.decided_by_id);
  PERFORM authority_signed(CASE WHEN new.is_approved THEN 'par.approve' ELSE 'par.decline' END,
    old.id, new.decided_by_id, (SELECT f.book FROM investors_fund f WHERE f.id = old.fund_id),
    interval '15 minutes');
  IF new.is_approved AND EXISTS (SELECT 1 FROM investors_navstrike s WHERE s.fund_id = old.fund_id
      AND s.state IN ('approved', 'dealt')
      AND (s.valuation_at AT TIME ZONE 'UTC')::date >= old.first_day) THEN
    RAISE EXCEPTION 'par: a NAV has counted its first day' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER par_signed BEFORE INSERT OR UPDATE ON "investors_parterm"
  FOR EACH ROW EXECUTE FUNCTION investors_par_signed();
ALTER TABLE "investors_parterm" ENABLE ALWAYS TRIGGER par_signed;

-- What is wrong with an entry of coins; null where nothing is.
CREATE FUNCTION investors_coin_fault(e investors_entry) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE taken jsonb; at timestamptz; paid numeric; coins numeric; rate numeric;
BEGIN
  IF e.kind = 'coins_valued' THEN
    SELECT s.inputs -> 'coins', s.valuation_at INTO taken, at
      FROM investors_navstrike s JOIN investors_fund k ON k.id = s.fund_id
      WHERE s.fund_id = e.fund_id AND e.source_ref = 'coins:' || k.code || ':' || to_char(
        s.valuation_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ':' || s.version;
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(coalesce(taken, '[]')) c
        JOIN investors_fund k ON k.id = e.fund_id
        LEFT JOIN investors_coinrate r ON r.id = (c ->> 'rate_id')::bigint
          AND r.coin = c ->> 'coin' AND r.currency = k.currency AND r.held = ''
          AND r.rate = (c ->> 'rate')::numeric
          AND r.observed_at BETWEEN at - interval '6 hours' AND at
        WHERE r.id IS NULL OR (c ->> 'applied')::numeric <> r.rate AND NOT (
          (c ->> 'applied')::numeric = 1 AND abs(r.rate - 1) <= 0.005
          AND coalesce((SELECT t.is_at_par FROM investors_parterm t
            WHERE t.fund_id = e.fund_id AND t.coin = r.coin AND t.is_approved
              AND t.first_day <= (at AT TIME ZONE 'UTC')::date
            ORDER BY t.first_day DESC LIMIT 1), false))) THEN
      RETURN 'at a rate that counted for nobody';
    END IF;
    IF EXISTS (SELECT 1 FROM (SELECT p.instrument, sum(p.amount) AS stands
          FROM investors_posting p JOIN investors_entry x ON x.id = p.entry_id
          WHERE x.fund_id = e.fund_id AND x.seq <= e.seq AND x.effective_at < at
            AND p.account_id = '1040' GROUP BY 1) b
        FULL JOIN jsonb_array_elements(coalesce(taken, '[]')) c ON c ->> 'coin' = b.instrument
        WHERE abs(coalesce(b.stands, 0) - coalesce((c ->> 'amount')::numeric
          * ((c ->> 'applied')::numeric - 1), 0)) > 0.00000001) THEN
      RETURN 'of another difference than its NAV names';
    END IF;
  ELSIF e.kind = 'venue_funded' AND EXISTS (SELECT 1 FROM investors_posting p
      WHERE p.entry_id = e.id AND p.account_id = '1040') THEN
    SELECT -sum(p.amount) FILTER (WHERE p.account_id = '1010'),
        sum(p.amount) FILTER (WHERE p.account_id = '1030') INTO paid, coins
      FROM investors_posting p WHERE p.entry_id = e.id;
    SELECT (c ->> 'applied')::numeric INTO rate FROM jsonb_array_elements((SELECT s.inputs -> 'coins'
        FROM investors_navstrike s WHERE s.fund_id = e.fund_id AND s.valuation_at <= e.effective_at
          AND s.state IN ('approved', 'dealt')
        ORDER BY s.valuation_at DESC, s.version DESC LIMIT 1)) c
      WHERE c ->> 'coin' = (SELECT max(p.instrument) FROM investors_posting p
        WHERE p.entry_id = e.id AND p.account_id = '1030');
    IF coalesce(abs(coins - paid / rate) > 0.00000001, true) THEN
      RETURN 'at another rate than its NAV took';
    END IF;
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION investors_par_signed, investors_coin_fault FROM PUBLIC;

INSERT INTO investors_account (code, name, kind)
  SELECT v.code, v.name, v.kind FROM (VALUES
    ('1040', 'Stablecoins, difference to par', 'asset'),
    ('4055', 'Currency result of stablecoins', 'income')) v (code, name, kind)
  WHERE EXISTS (SELECT 1 FROM investors_account) ON CONFLICT DO NOTHING;
"""
UNWALLS = """
DROP FUNCTION investors_coin_fault;
DROP TRIGGER par_signed ON "investors_parterm";
DROP FUNCTION investors_par_signed;
"""

MARKED = "WHEN e.kind = 'unknown_receipt' THEN origin"
#: Function, what stands there, what stands there afterwards.
ROUTES = (
    ("authority_refusal(text, uuid)", "'rate',", "'rate', 'par',"),
    (
        "authority_content(text, uuid)",
        "WHEN 'rate' THEN investors_say_rates(p_subject)",
        "WHEN 'rate' THEN investors_say_rates(p_subject)\n"
        "    WHEN 'par' THEN investors_say_par(p_subject)",
    ),
    (
        "authority_roles(text)",
        "WHEN 'rate.approve' THEN ARRAY['controller']",
        "WHEN 'rate.approve' THEN ARRAY['controller']\n"
        "    WHEN 'par.approve' THEN ARRAY['controller']\n"
        "    WHEN 'par.decline' THEN ARRAY['controller']",
    ),
    (
        "investors_entry_accounts(text)",
        "WHEN 'venue_funded' THEN '{1010,1030}'",
        "WHEN 'venue_funded' THEN '{1010,1030,1040}'\n    WHEN 'coins_valued' THEN '{1040,4055}'",
    ),
)
#: What the functions of above need to be there first, and what needs them.
FAULTS = (
    (
        "investors_entry_fault(investors_entry)",
        MARKED,
        "WHEN e.kind = 'coins_valued' THEN EXISTS (SELECT 1 FROM investors_navstrike s\n"
        "      JOIN investors_fund k ON k.id = s.fund_id\n"
        "      WHERE s.fund_id = e.fund_id"
        " AND s.valuation_at = e.effective_at + interval '1 microsecond'\n"
        "        AND ref = 'coins:' || k.code || ':' || to_char(s.valuation_at"
        " AT TIME ZONE 'UTC',\n"
        "          'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') || ':' || s.version)\n    " + MARKED,
    ),
    (
        "investors_entry_fault(investors_entry)",
        "investors_rebate_fault(e))",
        "investors_rebate_fault(e), investors_coin_fault(e))",
    ),
)


def _changed(function: str, before: str, after: str) -> str:
    """SQL that puts ``after`` in the place of ``before`` in a function as it stands."""
    return f"""
DO $change$
DECLARE said text := pg_get_functiondef('{function}'::regprocedure);
BEGIN
  IF position($part${before}$part$ IN said) = 0 THEN
    RAISE EXCEPTION '{function} is another than this migration changes';
  END IF;
  EXECUTE replace(said, $part${before}$part$, $part${after}$part$);
END $change$;
"""


def _run(changes: tuple[tuple[str, str, str], ...]) -> list[migrations.RunSQL]:
    return [
        migrations.RunSQL(_changed(name, before, after), _changed(name, after, before))
        for name, before, after in changes
    ]


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0052_side_pockets"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="ParTerm",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("proposed_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("is_approved", models.BooleanField(blank=True, null=True)),
                (
                    "reason",
                    models.CharField(blank=True, help_text="Why it was declined.", max_length=300),
                ),
                ("coin", models.CharField(max_length=8)),
                ("is_at_par", models.BooleanField()),
                ("first_day", models.DateField()),
                (
                    "reference",
                    models.CharField(help_text="Where it was resolved.", max_length=80),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "fund",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="par_terms",
                        to="investors.fund",
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-proposed_at"],
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("is_approved", None), ("is_approved", True), _connector="OR"
                        ),
                        fields=("fund", "coin", "first_day"),
                        name="investors_parterm_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decided_by", None),
                            models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="investors_parterm_four_eyes",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_at", None), ("decided_by", None), ("is_approved", None)
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                                ("is_approved__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="investors_parterm_decided",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SAY, "DROP FUNCTION investors_say_par;"),
        *_run(ROUTES),
        migrations.RunSQL(WALLS, UNWALLS),
        *_run(FAULTS),
    ]
