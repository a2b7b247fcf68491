"""A sleeve comes and leaves by what two people decided for the traded book, and by its last word.

The trader's role may tell the story of another book, whose decisions take no signatures.
"""

from django.db import migrations

WALLS = r"""
CREATE OR REPLACE FUNCTION trading_sleeve_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.decision <> '' OR new.decided_by_id IS NOT NULL THEN
      RAISE EXCEPTION 'sleeves: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.decision <> '' THEN
    RAISE EXCEPTION 'sleeves: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  new.decided_at := CASE WHEN new.decision <> '' THEN wall_time(old.book, new.decided_at) END;
  IF new.decision = 'approved' THEN
    PERFORM authority_two_people('sleeves', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed('sleeve.approve', old.id, new.decided_by_id, old.book,
      interval '15 minutes');
  ELSIF new.decision <> '' THEN
    PERFORM authority_signed('sleeve.decline', old.id, new.decided_by_id, old.book,
      interval '15 minutes');
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION trading_sleeve_decided() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE live text := (SELECT i.live_book FROM risk_wallinstance i);
BEGIN
  IF live IS NULL OR wall_invents(live)
     OR tg_op = 'INSERT' AND risk_fuse_state(live, 'fund') <> 'ARMED' THEN
    RETURN NULL;
  END IF;
  IF tg_op = 'INSERT' AND NOT EXISTS (SELECT 1 FROM trading_sleeveproposal p
      WHERE p.book = live AND p.action = 'add' AND p.decision = 'approved' AND p.code = new.code
        AND p.name = new.name AND p.parameters = new.parameters
        AND p.risk_fraction = new.risk_fraction AND NOT EXISTS (
          SELECT 1 FROM trading_sleeveproposal r WHERE r.book = live AND r.action = 'retire'
            AND r.code = p.code AND r.decision = 'approved' AND r.decided_at > p.decided_at))
     OR tg_op = 'UPDATE' AND (new.is_active OR NOT EXISTS (SELECT 1 FROM trading_sleeveproposal p
      WHERE p.book = live AND p.action = 'retire' AND p.decision = 'approved'
        AND p.code = new.code AND NOT EXISTS (
          SELECT 1 FROM trading_sleeveproposal a WHERE a.book = live AND a.action = 'add'
            AND a.code = p.code AND a.decision = 'approved' AND a.decided_at > p.decided_at))) THEN
    RAISE EXCEPTION 'sleeves: % comes or leaves by the decision of two people', new.code
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
"""
BACK = r"""
CREATE OR REPLACE FUNCTION trading_sleeve_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    IF new.decision <> '' OR new.decided_by_id IS NOT NULL THEN
      RAISE EXCEPTION 'sleeves: it is proposed first' USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF old.decision <> '' THEN
    RAISE EXCEPTION 'sleeves: a decision is fixed' USING ERRCODE = 'check_violation';
  END IF;
  IF new.decision = 'approved' THEN
    PERFORM authority_two_people('sleeves', old.proposed_by_id, new.decided_by_id);
    PERFORM authority_signed('sleeve.approve', old.id, new.decided_by_id, old.book,
      interval '15 minutes');
  ELSIF new.decision <> '' THEN
    PERFORM authority_signed('sleeve.decline', old.id, new.decided_by_id, old.book,
      interval '15 minutes');
  END IF;
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION trading_sleeve_decided() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE live text := (SELECT i.live_book FROM risk_wallinstance i);
BEGIN
  IF live IS NULL OR wall_invents(live)
     OR tg_op = 'INSERT' AND risk_fuse_state(live, 'fund') <> 'ARMED' THEN
    RETURN NULL;
  END IF;
  IF tg_op = 'INSERT' AND NOT EXISTS (SELECT 1 FROM trading_sleeveproposal p
      WHERE p.action = 'add' AND p.decision = 'approved' AND p.code = new.code
        AND p.name = new.name AND p.parameters = new.parameters
        AND p.risk_fraction = new.risk_fraction AND NOT EXISTS (
          SELECT 1 FROM trading_sleeveproposal r WHERE r.action = 'retire' AND r.code = p.code
            AND r.decision = 'approved' AND r.decided_at > p.decided_at))
     OR tg_op = 'UPDATE' AND (new.is_active OR NOT EXISTS (SELECT 1 FROM trading_sleeveproposal p
      WHERE p.action = 'retire' AND p.decision = 'approved' AND p.code = new.code)) THEN
    RAISE EXCEPTION 'sleeves: % comes or leaves by the decision of two people', new.code
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("investors", "0045_dealt_stays_owed")]
    operations = [migrations.RunSQL(WALLS, BACK)]
