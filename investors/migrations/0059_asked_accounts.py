"""A holder asks to be paid to another account: called back, signed by another, cooled off."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

#: What is signed and what is allowed by a power: what stands there, what stands there afterwards.
SAY = (
    "investors_say_attorney(uuid)",
    "CASE WHEN p.may_redeem THEN 'redeem and switch' END)",
    "CASE WHEN p.may_redeem THEN 'redeem and switch' END,\n"
    "        CASE WHEN p.may_change_account THEN 'ask for other bank details' END)",
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


WALLS = r"""
REVOKE ALL ON "investors_accountchange" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_accountchange" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_accountchange" TO fa_app, fa_gateway;
GRANT UPDATE ("called_by_id", "called_at", "called_number", "known_since", "spoken_with",
  "payee_id", "withdrawn_by_id", "withdrawn_at", "refused_by_id", "refused_at", "reason")
  ON "investors_accountchange" TO fa_app, fa_gateway;

-- The holder or his attorney asks; another person calls back, at a number known before, and what
-- he proposes is what was asked; what was withdrawn or refused is paid never.
CREATE FUNCTION investors_change_asked() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE p record;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.payee_id, new.withdrawn_at, new.refused_at) <> 0 THEN
      RAISE EXCEPTION 'changes: it is asked first' USING ERRCODE = 'check_violation';
    END IF;
    IF new.under_power_id IS NULL AND NOT EXISTS (SELECT 1 FROM investors_investor i
        WHERE i.id = new.investor_id AND i.user_id = new.asked_by_id)
      OR new.under_power_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM investors_powerofattorney w
        JOIN investors_investor a ON a.id = w.attorney_id
        WHERE w.id = new.under_power_id AND w.investor_id = new.investor_id AND w.is_approved
          AND w.may_change_account AND w.ended_at IS NULL AND a.user_id = new.asked_by_id
          AND a.kyc_state = 'approved'
          AND (now() AT TIME ZONE 'UTC')::date BETWEEN w.first_day AND w.last_day) THEN
      RAISE EXCEPTION 'changes: the holder asks, or an attorney whose deed says so'
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.withdrawn_at IS NOT NULL OR old.refused_at IS NOT NULL THEN
    RAISE EXCEPTION 'changes: what was withdrawn or refused stays so'
      USING ERRCODE = 'check_violation';
  END IF;
  IF (new.payee_id, new.called_by_id, new.called_at, new.called_number, new.known_since,
      new.spoken_with) IS DISTINCT FROM (old.payee_id, old.called_by_id, old.called_at,
      old.called_number, old.known_since, old.spoken_with) THEN
    IF old.payee_id IS NOT NULL THEN
      RAISE EXCEPTION 'changes: a call-back is recorded once' USING ERRCODE = 'check_violation';
    END IF;
    PERFORM authority_two_people('changes', old.asked_by_id, new.called_by_id);
    IF new.called_at < old.asked_at OR new.called_at > clock_timestamp() + interval '1 minute'
        OR new.known_since >= (old.asked_at AT TIME ZONE 'UTC')::date THEN
      RAISE EXCEPTION 'changes: called after it was asked, at a number known before'
        USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM investors_payeeaccount a WHERE a.id = new.payee_id
        AND a.fund_id = old.fund_id AND a.investor_id = old.investor_id AND a.kind = old.kind
        AND a.name = old.name AND a.number = old.number AND a.bank = old.bank
        AND a.currency = old.currency AND a.added_by_id = new.called_by_id
        AND a.approved_at IS NULL AND a.closed_at IS NULL) THEN
      RAISE EXCEPTION 'changes: another account than was asked for'
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  IF new.withdrawn_at IS NOT NULL OR new.refused_at IS NOT NULL THEN
    SELECT a.closed_at INTO p FROM investors_payeeaccount a
      WHERE a.id = new.payee_id;
    IF new.payee_id IS NOT NULL AND p.closed_at IS NULL THEN
      RAISE EXCEPTION 'changes: its account is closed with it' USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER change_asked BEFORE INSERT OR UPDATE ON "investors_accountchange"
  FOR EACH ROW EXECUTE FUNCTION investors_change_asked();
ALTER TABLE "investors_accountchange" ENABLE ALWAYS TRIGGER change_asked;
REVOKE ALL ON FUNCTION investors_change_asked FROM PUBLIC;
"""
WALLS_BACK = """
DROP TRIGGER change_asked ON "investors_accountchange";
DROP FUNCTION investors_change_asked;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0058_once_and_of_now"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="powerofattorney",
            name="may_change_account",
            field=models.BooleanField(default=False, verbose_name="may ask for other bank details"),
        ),
        migrations.CreateModel(
            name="AccountChange",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("bank", "bank account"), ("wallet", "wallet")], max_length=6
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="Name of the account's holder.", max_length=200),
                ),
                (
                    "number",
                    models.CharField(help_text="IBAN, account number or address.", max_length=120),
                ),
                (
                    "bank",
                    models.CharField(
                        blank=True, help_text="BIC, or name of the chain.", max_length=120
                    ),
                ),
                ("currency", models.CharField(max_length=8)),
                ("asked_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("called_at", models.DateTimeField(blank=True, null=True)),
                (
                    "called_number",
                    models.CharField(
                        blank=True, help_text="Number that was called.", max_length=40
                    ),
                ),
                (
                    "known_since",
                    models.DateField(
                        blank=True, help_text="Day since which that number is known.", null=True
                    ),
                ),
                ("spoken_with", models.CharField(blank=True, max_length=80)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("refused_at", models.DateTimeField(blank=True, null=True)),
                (
                    "reason",
                    models.CharField(blank=True, help_text="Why it was refused.", max_length=300),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "called_by",
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
                        related_name="+",
                        to="investors.fund",
                    ),
                ),
                (
                    "investor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="account_changes",
                        to="investors.investor",
                    ),
                ),
                (
                    "payee",
                    models.OneToOneField(
                        blank=True,
                        help_text="Proposed by the call-back.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="change",
                        to="investors.payeeaccount",
                    ),
                ),
                (
                    "refused_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "under_power",
                    models.ForeignKey(
                        blank=True,
                        help_text="By which an attorney asked.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="investors.powerofattorney",
                    ),
                ),
                (
                    "withdrawn_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-asked_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("payee", None), ("refused_at", None), ("withdrawn_at", None)
                        ),
                        fields=("fund", "investor", "number"),
                        name="investors_accountchange_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("called_at", None),
                                ("called_by", None),
                                ("called_number", ""),
                                ("known_since", None),
                                ("payee", None),
                                ("spoken_with", ""),
                            ),
                            models.Q(
                                ("called_at__gte", models.F("asked_at")),
                                ("called_by__isnull", False),
                                ("payee__isnull", False),
                                ("known_since__isnull", False),
                                models.Q(("called_number", ""), _negated=True),
                                models.Q(("spoken_with", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="investors_accountchange_called",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                models.Q(("withdrawn_at", None), ("withdrawn_by", None)),
                                models.Q(
                                    ("withdrawn_at__isnull", False), ("withdrawn_by__isnull", False)
                                ),
                                _connector="OR",
                            ),
                            models.Q(
                                models.Q(
                                    ("reason", ""), ("refused_at", None), ("refused_by", None)
                                ),
                                models.Q(
                                    ("refused_at__isnull", False),
                                    ("refused_by__isnull", False),
                                    models.Q(("reason", ""), _negated=True),
                                ),
                                _connector="OR",
                            ),
                            models.Q(("withdrawn_at", None), ("refused_at", None), _connector="OR"),
                        ),
                        name="investors_accountchange_ended",
                    ),
                ],
            },
        ),
        migrations.RunSQL(_changed(*SAY), _changed(SAY[0], SAY[2], SAY[1])),
        migrations.RunSQL(WALLS, WALLS_BACK),
    ]
