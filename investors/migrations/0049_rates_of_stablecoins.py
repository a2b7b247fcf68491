"""Rates of stablecoins: read by a job, or entered by one person and signed by another."""

import uuid
from decimal import Decimal

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import magnetfund.core.fields
import magnetfund.kernel.clock

SAY = r"""
CREATE FUNCTION investors_say_rates(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Value ' || wall_line(r.coin) || ' held by ' || wall_line(f.name) || ' ('
      || wall_line(f.code) || ') in ' || wall_line(r.currency) || ' by '
      || jsonb_array_length(r.lines) || CASE jsonb_array_length(r.lines) WHEN 1 THEN ' rate'
        ELSE ' rates' END || E'\n' || 'Source: ' || wall_line(r.source) || E'\n'
      || (SELECT string_agg(wall_when((l ->> 0)::timestamptz) || ': ' || wall_line(l ->> 1), E'\n'
            ORDER BY n) FROM jsonb_array_elements(r.lines) WITH ORDINALITY x (l, n) WHERE n <= 20)
      || CASE WHEN jsonb_array_length(r.lines) > 20 THEN E'\n' || 'and '
        || jsonb_array_length(r.lines) - 20 || ' more, up to '
        || wall_when((r.lines -> -1 ->> 0)::timestamptz) || E'\n' || 'SHA-256 of all: '
        || encode(sha256(convert_to(r.lines::text, 'UTF8')), 'hex') ELSE '' END
      || E'\n' || 'Proposed by: ' || wall_account(r.proposed_by_id) || ', '
      || wall_when(r.proposed_at) || E'\n' || 'Rates: ' || r.id
    FROM investors_rateproposal r JOIN investors_fund f ON f.id = r.fund_id
    WHERE r.id = p_subject AND r.decided_at IS NULL
$$;
REVOKE ALL ON FUNCTION investors_say_rates FROM PUBLIC;
"""

WALLS = r"""
REVOKE ALL ON "investors_rateproposal" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_rateproposal" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_rateproposal" TO fa_app, fa_gateway;
GRANT UPDATE ("decided_by_id", "decided_at", "is_approved", "reason") ON "investors_rateproposal"
  TO fa_app, fa_gateway;
REVOKE ALL ON "investors_coinrate" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_coinrate" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_coinrate" TO fa_app, fa_gateway;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO fa_app, fa_gateway;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON "investors_coinrate"
  FOR EACH ROW EXECUTE FUNCTION wall_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON "investors_coinrate"
  FOR EACH STATEMENT EXECUTE FUNCTION wall_append_only();
ALTER TABLE "investors_coinrate" ENABLE ALWAYS TRIGGER append_only_row;
ALTER TABLE "investors_coinrate" ENABLE ALWAYS TRIGGER append_only_truncate;

-- Entered rates come undecided and are decided once, by another person's signature.
CREATE FUNCTION investors_rates_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) <> 0 THEN
      RAISE EXCEPTION 'rates: they are proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.is_approved IS NOT NULL THEN
    RAISE EXCEPTION 'rates: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved IS NOT NULL THEN
    PERFORM authority_two_people('rates', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed(CASE WHEN new.is_approved THEN 'rate.approve'
      ELSE 'rate.decline' END, old.id, new.decided_by_id,
      (SELECT f.book FROM investors_fund f WHERE f.id = old.fund_id), interval '15 minutes');
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER rates_signed BEFORE INSERT OR UPDATE ON "investors_rateproposal"
  FOR EACH ROW EXECUTE FUNCTION investors_rates_signed();
ALTER TABLE "investors_rateproposal" ENABLE ALWAYS TRIGGER rates_signed;

-- A rate arrives now.  Without a signature it is of now, and read by the job; with one it is a line
-- of what was signed.
CREATE FUNCTION investors_rate_taken() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  new.arrived_at := clock_timestamp();
  IF new.proposal_id IS NOT NULL THEN
    IF NOT EXISTS (SELECT 1 FROM investors_rateproposal p, jsonb_array_elements(p.lines) l
        WHERE p.id = new.proposal_id AND p.is_approved AND p.coin = new.coin
          AND p.currency = new.currency AND p.source = new.source
          AND (l ->> 0)::timestamptz = new.observed_at AND (l ->> 1)::numeric = new.rate) THEN
      RAISE EXCEPTION 'rates: nobody signed this one' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF EXISTS (SELECT 1 FROM risk_wallinstance i WHERE i.kind IN ('test', 'scratch')) THEN
    RETURN new;
  END IF;
  IF session_user <> 'fa_worker' THEN
    RAISE EXCEPTION 'rates: one that a person enters is signed'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF new.observed_at NOT BETWEEN new.arrived_at - interval '15 minutes'
      AND new.arrived_at + interval '1 minute' THEN
    RAISE EXCEPTION 'rates: it is not of now' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER rate_taken BEFORE INSERT ON "investors_coinrate"
  FOR EACH ROW EXECUTE FUNCTION investors_rate_taken();
ALTER TABLE "investors_coinrate" ENABLE ALWAYS TRIGGER rate_taken;
REVOKE ALL ON FUNCTION investors_rates_signed, investors_rate_taken FROM PUBLIC;
"""
UNWALLS = """
DROP TRIGGER rate_taken ON "investors_coinrate";
DROP TRIGGER rates_signed ON "investors_rateproposal";
DROP FUNCTION investors_rate_taken, investors_rates_signed;
"""

#: What is signed, by whom: function, what stands there, what stands there afterwards.
ROUTES = (
    ("authority_refusal(text, uuid)", "'expense_change',", "'expense_change', 'rate',"),
    (
        "authority_content(text, uuid)",
        "ELSE investors_content(p_action, p_subject)",
        "WHEN 'rate' THEN investors_say_rates(p_subject)\n"
        "    ELSE investors_content(p_action, p_subject)",
    ),
    (
        "authority_roles(text)",
        "ELSE ARRAY[]::text[]",
        "WHEN 'rate.approve' THEN ARRAY['controller']\n"
        "    WHEN 'rate.decline' THEN ARRAY['controller']\n    ELSE ARRAY[]::text[]",
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


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0048_opened_links"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="RateProposal",
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
                ("currency", models.CharField(max_length=8)),
                ("source", models.CharField(help_text="Where the rate was read.", max_length=80)),
                ("lines", models.JSONField()),
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
                        related_name="rate_proposals",
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
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decided_by", None),
                            models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="investors_rateproposal_four_eyes",
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
                        name="investors_rateproposal_decided",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CoinRate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("coin", models.CharField(max_length=8)),
                ("currency", models.CharField(max_length=8)),
                ("rate", magnetfund.core.fields.ExactField()),
                ("source", models.CharField(max_length=80)),
                ("observed_at", models.DateTimeField()),
                (
                    "arrived_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("held", models.CharField(blank=True, max_length=200)),
                (
                    "proposal",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rates",
                        to="investors.rateproposal",
                    ),
                ),
            ],
            options={
                "ordering": ["-observed_at", "-id"],
                "indexes": [
                    models.Index(
                        fields=["coin", "currency", "-observed_at"], name="investors_coinrate_at"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("rate__gt", 0), ("rate__lt", Decimal("1E+20"))),
                            ("rate__isnull", True),
                            _connector="OR",
                        ),
                        name="investors_coinrate_rate_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("proposal", None), ("held", ""), _connector="OR"),
                        name="investors_coinrate_signed_counts",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("proposal", None)),
                        fields=("coin", "currency", "source", "observed_at"),
                        name="investors_coinrate_once",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SAY, "DROP FUNCTION investors_say_rates;"),
        *(
            migrations.RunSQL(_changed(name, before, after), _changed(name, after, before))
            for name, before, after in ROUTES
        ),
        migrations.RunSQL(WALLS, UNWALLS),
    ]
