"""Advisers read a holder's portal on his signature, or on that of compliance who called him back."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import magnetfund.kernel.clock

SAY = r"""
CREATE FUNCTION investors_say_adviser(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'Let ' || wall_line(a.name) || ' <' || wall_line(a.email) || '> read the portal of '
      || wall_line(h.legal_name) || ' (holder ' || wall_line(h.number) || '), and change nothing'
      || E'\n' || 'What: ' || concat_ws(', ', CASE WHEN a.sees_holdings THEN
          'holdings and NAV' END, CASE WHEN a.sees_papers THEN 'statements and papers' END)
      || E'\n' || 'Last day: ' || to_char(a.until, 'YYYY-MM-DD') || E'\n' || 'Asked by: '
      || wall_account(a.invited_by_id) || ', ' || wall_when(a.invited_at)
      || E'\n' || 'Access: ' || a.id
    FROM investors_adviseraccess a JOIN investors_investor h ON h.id = a.investor_id
    WHERE a.id = p_subject AND a.granted_at IS NULL AND a.ended_at IS NULL
$$;
REVOKE ALL ON FUNCTION investors_say_adviser FROM PUBLIC;

-- One more thing that is signed, beside all that the functions name already.
DO $do$
BEGIN
  EXECUTE replace(pg_get_functiondef('authority_content(text, uuid)'::regprocedure),
    'ELSE investors_content(',
    'WHEN ''adviser'' THEN investors_say_adviser(p_subject) ELSE investors_content(');
  EXECUTE replace(pg_get_functiondef('authority_roles(text)'::regprocedure),
    'ELSE ARRAY[]::text[] END',
    'WHEN ''adviser.approve'' THEN ARRAY[''compliance'', ''investor''] ELSE ARRAY[]::text[] END');
END $do$;
"""
SAY_BACK = r"""
DO $do$
BEGIN
  EXECUTE replace(pg_get_functiondef('authority_content(text, uuid)'::regprocedure),
    'WHEN ''adviser'' THEN investors_say_adviser(p_subject) ', '');
  EXECUTE replace(pg_get_functiondef('authority_roles(text)'::regprocedure),
    'WHEN ''adviser.approve'' THEN ARRAY[''compliance'', ''investor''] ', '');
END $do$;
DROP FUNCTION investors_say_adviser;
"""

WALLS = r"""
REVOKE ALL ON "investors_adviseraccess" FROM PUBLIC, fa_app, fa_gateway, fa_auditor;
GRANT SELECT ON "investors_adviseraccess" TO fa_app, fa_gateway, fa_auditor;
GRANT INSERT ON "investors_adviseraccess" TO fa_app, fa_gateway;
GRANT UPDATE ("granted_by_id", "granted_at", "confirmed_how", "user_id", "accepted_at", "seen_at",
  "ended_by_id", "ended_at") ON "investors_adviseraccess" TO fa_app, fa_gateway;

-- It comes as the holder asks for it, opens on a signature, and belongs to the invited address.
CREATE FUNCTION investors_adviser_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE holder uuid;
BEGIN
  SELECT i.user_id INTO holder FROM investors_investor i WHERE i.id = new.investor_id;
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.granted_by_id, new.granted_at, new.user_id, new.accepted_at, new.seen_at,
        new.ended_by_id, new.ended_at) <> 0 THEN
      RAISE EXCEPTION 'advisers: access is asked for first' USING ERRCODE = 'check_violation';
    END IF;
    IF new.invited_by_id IS DISTINCT FROM holder THEN
      RAISE EXCEPTION 'advisers: the holder alone asks for it' USING ERRCODE = 'check_violation';
    END IF;
    IF new.until > (clock_timestamp() AT TIME ZONE 'UTC')::date + 366 THEN
      RAISE EXCEPTION 'advisers: for a year at most' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.ended_at IS NOT NULL AND new IS DISTINCT FROM old THEN
    RAISE EXCEPTION 'advisers: access that ended stays ended' USING ERRCODE = 'check_violation';
  END IF;
  IF (new.granted_by_id, new.granted_at, new.confirmed_how)
     IS DISTINCT FROM (old.granted_by_id, old.granted_at, old.confirmed_how) THEN
    IF old.granted_at IS NOT NULL THEN
      RAISE EXCEPTION 'advisers: a signature is fixed' USING ERRCODE = 'check_violation';
    END IF;
    IF new.granted_by_id IS DISTINCT FROM holder THEN
      PERFORM authority_two_people('advisers', holder, new.granted_by_id);
      IF new.confirmed_how = '' OR NOT EXISTS (SELECT 1 FROM core_rolegrant g
          WHERE g.user_id = new.granted_by_id AND g.role = 'compliance' AND g.revoked_at IS NULL)
      THEN
        RAISE EXCEPTION 'advisers: the holder signs, or compliance who called him back'
          USING ERRCODE = 'check_violation';
      END IF;
    END IF;
    PERFORM authority_signed('adviser.approve', old.id, new.granted_by_id, '',
      interval '15 minutes');
  END IF;
  IF (new.user_id, new.accepted_at) IS DISTINCT FROM (old.user_id, old.accepted_at) THEN
    IF old.user_id IS NOT NULL OR old.granted_at IS NULL THEN
      RAISE EXCEPTION 'advisers: accepted once, after it was signed'
        USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM core_user u WHERE u.id = new.user_id AND u.is_active
          AND lower(u.email) = lower(old.email) AND u.id IS DISTINCT FROM holder)
       OR EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = new.user_id
          AND g.revoked_at IS NULL AND g.role NOT IN ('investor', 'adviser')) THEN
      RAISE EXCEPTION 'advisers: the account is not that of the invited address'
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER adviser_signed BEFORE INSERT OR UPDATE ON "investors_adviseraccess"
  FOR EACH ROW EXECUTE FUNCTION investors_adviser_signed();
ALTER TABLE "investors_adviseraccess" ENABLE ALWAYS TRIGGER adviser_signed;
REVOKE ALL ON FUNCTION investors_adviser_signed FROM PUBLIC;
"""
WALLS_BACK = """
DROP TRIGGER adviser_signed ON "investors_adviseraccess";
DROP FUNCTION investors_adviser_signed();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0018_advisers"),
        ("investors", "0049_rates_of_stablecoins"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AdviserAccess",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200)),
                ("email", models.EmailField(max_length=254)),
                (
                    "sees_holdings",
                    models.BooleanField(default=True, verbose_name="holdings and NAV"),
                ),
                (
                    "sees_papers",
                    models.BooleanField(default=False, verbose_name="statements and papers"),
                ),
                ("until", models.DateField(help_text="The last day.")),
                ("invited_at", models.DateTimeField(default=magnetfund.kernel.clock.utc_now)),
                ("granted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "confirmed_how",
                    models.CharField(
                        blank=True,
                        help_text="How compliance reached the holder, where he did not sign himself.",
                        max_length=300,
                    ),
                ),
                ("accepted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "seen_at",
                    models.DateTimeField(blank=True, help_text="When he last looked.", null=True),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "ended_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "granted_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "investor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="advisers",
                        to="investors.investor",
                    ),
                ),
                (
                    "invited_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="adviser_accesses",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "adviser accesses",
                "ordering": ["-invited_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("investor", "email"),
                        name="investors_adviseraccess_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("sees_holdings", True), ("sees_papers", True), _connector="OR"
                        ),
                        name="investors_adviseraccess_something",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("granted_at", None), ("granted_by", None)),
                            models.Q(("granted_at__isnull", False), ("granted_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="investors_adviseraccess_granted",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("accepted_at", None), ("user", None)),
                            models.Q(
                                ("accepted_at__isnull", False),
                                ("granted_at__isnull", False),
                                ("user__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="investors_adviseraccess_accepted",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SAY, SAY_BACK),
        migrations.RunSQL(WALLS, WALLS_BACK),
    ]
