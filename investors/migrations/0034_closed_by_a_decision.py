"""A fund is closed, and its dealing days passed over, by the decision of two people alone."""

from django.db import migrations, models

SUSPENSIONS = r"""
-- A controller and a director decide together: one proposes, the other signs, and with that the
-- fund is suspended, or open; the dealing days that came meanwhile are passed over.
CREATE OR REPLACE FUNCTION investors_suspension_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE fund record; newest record; since timestamptz; until timestamptz;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) <> 0 THEN
      RAISE EXCEPTION 'suspensions: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF num_nonnulls(old.decided_by_id, old.decided_at, old.is_approved) <> 0 THEN
    RAISE EXCEPTION 'suspensions: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) NOT IN (0, 3) THEN
    RAISE EXCEPTION 'suspensions: a decision has a person and a time'
      USING ERRCODE = 'check_violation';
  END IF;
  IF NOT coalesce(new.is_approved, false) THEN
    RETURN new;
  END IF;
  SELECT f.* INTO STRICT fund FROM investors_fund f WHERE f.id = old.fund_id;
  PERFORM authority_two_people('suspensions', old.proposed_by_id, new.decided_by_id);
  PERFORM authority_signed('suspension.approve', old.id, new.decided_by_id, fund.book,
    interval '15 minutes');
  IF NOT wall_invents(fund.book) AND (SELECT count(DISTINCT g.role) FROM core_rolegrant g
      WHERE g.user_id IN (old.proposed_by_id, new.decided_by_id) AND g.revoked_at IS NULL
        AND g.role IN ('controller', 'director')) <> 2 THEN
    RAISE EXCEPTION 'suspensions: a controller and a director decide together'
      USING ERRCODE = 'check_violation';
  END IF;
  UPDATE investors_fund SET is_suspended = old.suspends WHERE id = old.fund_id;
  IF old.suspends THEN
    RETURN new;
  END IF;
  SELECT s.suspends AND NOT old.from_last_nav AS counts, s.decided_at INTO newest FROM investors_suspensionproposal s
    WHERE s.fund_id = old.fund_id AND s.is_approved AND s.id <> old.id
    ORDER BY s.decided_at DESC LIMIT 1;
  -- A fund that an earlier version closed by itself was open until its newest NAV.
  since := CASE WHEN newest.counts THEN newest.decided_at ELSE coalesce((
    SELECT max(n.valuation_at) FROM investors_navstrike n
      WHERE n.fund_id = old.fund_id AND n.state = 'dealt'), fund.inception) END;
  until := CASE WHEN wall_invents(fund.book) THEN new.decided_at
    ELSE least(new.decided_at, clock_timestamp()) END;
  UPDATE investors_dealingday SET is_suspended = true
    WHERE fund_id = old.fund_id AND valuation_at > since AND valuation_at <= until;
  RETURN new;
END $$;
"""

SUSPENSIONS_BACK = r"""
CREATE OR REPLACE FUNCTION investors_suspension_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text;
BEGIN
  IF tg_op = 'INSERT' THEN
    IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) <> 0 THEN
      RAISE EXCEPTION 'suspensions: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF num_nonnulls(old.decided_by_id, old.decided_at, old.is_approved) <> 0 THEN
    RAISE EXCEPTION 'suspensions: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF num_nonnulls(new.decided_by_id, new.decided_at, new.is_approved) NOT IN (0, 3) THEN
    RAISE EXCEPTION 'suspensions: a decision has a person and a time'
      USING ERRCODE = 'check_violation';
  END IF;
  IF new.is_approved THEN
    SELECT f.book INTO STRICT book FROM investors_fund f WHERE f.id = old.fund_id;
    PERFORM authority_two_people('suspensions', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed('suspension.approve', old.id, new.decided_by_id, book,
      interval '15 minutes');
    IF NOT wall_invents(book) AND (SELECT count(DISTINCT g.role) FROM core_rolegrant g
        WHERE g.user_id IN (old.proposed_by_id, new.decided_by_id) AND g.revoked_at IS NULL
          AND g.role IN ('controller', 'director')) <> 2 THEN
      RAISE EXCEPTION 'suspensions: a controller and a director decide together'
        USING ERRCODE = 'check_violation';
    END IF;
    UPDATE investors_fund SET is_suspended = old.suspends WHERE id = old.fund_id;
  END IF;
  RETURN new;
END $$;
"""

WORDS = r"""
CREATE OR REPLACE FUNCTION investors_say_suspension(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN s.suspends THEN 'Suspend dealing in ' ELSE 'Open dealing again in ' END
      || wall_line(f.name) || ' (' || wall_line(f.code) || ')'
      || E'\n' || CASE WHEN s.suspends THEN 'No order is taken and none is dealt from now on'
        ELSE 'Orders are taken and dealt again from now on' END
      || CASE WHEN s.from_last_nav AND NOT s.suspends
        THEN E'\n' || 'Every dealing day since the last NAV is passed over' ELSE '' END
      || E'\n' || 'Reason: ' || wall_line(s.reason)
      || E'\n' || 'Holders are told: ' || wall_line(s.notice)
      || E'\n' || 'Proposed by: ' || wall_account(s.proposed_by_id) || ', '
      || wall_when(s.proposed_at) || E'\n' || 'Proposal: ' || s.id
    FROM investors_suspensionproposal s JOIN investors_fund f ON f.id = s.fund_id
    WHERE s.id = p_subject AND s.decided_at IS NULL
$$;
"""

WORDS_BACK = r"""
CREATE OR REPLACE FUNCTION investors_say_suspension(p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN s.suspends THEN 'Suspend dealing in ' ELSE 'Open dealing again in ' END
      || wall_line(f.name) || ' (' || wall_line(f.code) || ')'
      || E'\n' || CASE WHEN s.suspends THEN 'No order is taken and none is dealt from now on'
        ELSE 'Orders are taken and dealt again from now on' END
      || E'\n' || 'Reason: ' || wall_line(s.reason)
      || E'\n' || 'Holders are told: ' || wall_line(s.notice)
      || E'\n' || 'Proposed by: ' || wall_account(s.proposed_by_id) || ', '
      || wall_when(s.proposed_at) || E'\n' || 'Proposal: ' || s.id
    FROM investors_suspensionproposal s JOIN investors_fund f ON f.id = s.fund_id
    WHERE s.id = p_subject AND s.decided_at IS NULL
$$;
"""

GRANTS = """
REVOKE UPDATE (is_suspended) ON investors_fund, investors_dealingday FROM fa_app, fa_gateway;
"""
GRANTS_BACK = """
GRANT UPDATE (is_suspended) ON investors_fund, investors_dealingday TO fa_app, fa_gateway;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0033_dealt_figures")]
    operations = [
        migrations.AddField(
            model_name="suspensionproposal",
            name="from_last_nav",
            field=models.BooleanField(
                default=False,
                help_text="An opening passes over every dealing day since the last NAV, also one "
                "that came before the suspension and could not be priced.",
            ),
        ),
        migrations.RunSQL(WORDS, WORDS_BACK),
        migrations.RunSQL(SUSPENSIONS, SUSPENSIONS_BACK),
        migrations.RunSQL(GRANTS, GRANTS_BACK),
    ]
