"""Erasing a person takes his words out of every row that no law asks to keep."""

from django.db import migrations

FUNCTIONS = r"""
-- Whether the owner's own function erases a person in this transaction.
CREATE FUNCTION wall_erases() RETURNS boolean LANGUAGE sql STABLE
  SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce(current_setting('magnet.erasing', true), '') = 'on' AND current_user
    = (SELECT t.tableowner FROM pg_tables t
       WHERE t.schemaname = 'public' AND t.tablename = 'investors_kyccheck')
$$;

CREATE OR REPLACE FUNCTION wall_append_only() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'UPDATE' AND tg_table_name IN
      ('investors_kyccheck', 'investors_screening', 'investors_kycmove')
      AND public.wall_erases() THEN
    RETURN new;
  END IF;
  RAISE EXCEPTION 'append-only: % on % is refused', tg_op, tg_table_name
    USING ERRCODE = 'insufficient_privilege';
END $$;

-- The owner may erase again what a restored backup brought back; the application only what the law
-- lets go: who never became a holder, or left five years ago.
CREATE FUNCTION investors_erase_person(p_application uuid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE a record; h record; mails text[]; shown text; address text;
BEGIN
  SELECT * INTO STRICT a FROM investors_application WHERE id = p_application FOR UPDATE;
  SELECT i.id, i.number, i.kyc_state, i.user_id, i.email, u.email AS signs_in INTO h
    FROM investors_investor i LEFT JOIN core_user u ON u.id = i.user_id
    WHERE i.id = a.investor_id;
  IF h.id IS NOT NULL AND (h.kyc_state NOT IN ('declined', 'exited')
      OR EXISTS (SELECT 1 FROM investors_kycmove m WHERE m.investor_id = h.id
        AND m.moved_at > now() - interval '1827 days'))
     AND NOT pg_has_role(session_user, current_user, 'MEMBER') THEN
    RAISE EXCEPTION 'erasure: this file is kept for five years' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM set_config('magnet.erasing', 'on', true);
  mails := ARRAY[lower(a.email), lower(h.email), lower(h.signs_in)];
  UPDATE core_outgoingmail SET key = 'erased:' || id, params = '{}', problem = '',
      recipient = 'erased-' || id || '@example.invalid', claimed_at = coalesce(claimed_at, now())
    WHERE lower(recipient) = ANY (mails)
      OR kind = 'adviser_invitation' AND params ->> 'access' IN (SELECT x.id::text
        FROM investors_adviseraccess x WHERE x.investor_id = h.id)
      OR kind = 'portal_message' AND params ->> 'message' IN (SELECT m.id::text
        FROM investors_message m WHERE m.investor_id = h.id);
  UPDATE investors_document SET sealed_content = '', name = '',
      removed_at = coalesce(removed_at, now()) WHERE application_id = a.id;
  UPDATE investors_application SET email = 'erased-' || id || '@example.invalid',
      sealed_answers = '', erased_at = coalesce(erased_at, now()) WHERE id = a.id;
  IF h.id IS NOT NULL THEN
    shown := 'Erased investor ' || h.number;
    address := 'erased-' || h.id || '@example.invalid';
    UPDATE investors_kyccheck SET evidence = 'erased'
      WHERE investor_id = h.id AND evidence <> '';
    UPDATE investors_screening SET party = 'erased', match_id = '',
        match = CASE WHEN match = '' THEN '' ELSE 'erased' END,
        reason = CASE WHEN reason = '' THEN '' ELSE 'erased' END WHERE investor_id = h.id;
    UPDATE investors_kycmove SET reason = CASE WHEN reason = '' THEN '' ELSE 'erased' END,
        actor_label = CASE WHEN actor_id = h.user_id OR role = 'investor' THEN shown
          ELSE actor_label END
      WHERE investor_id = h.id;
    UPDATE investors_kyccase SET points = '{}',
        rating_reason = CASE WHEN rating_reason = '' THEN '' ELSE 'erased' END
      WHERE investor_id = h.id;
    UPDATE investors_message SET subject = 'erased', body = '' WHERE investor_id = h.id;
    UPDATE investors_accountchange SET name = shown, number = 'erased ' || id, bank = '',
        called_number = CASE WHEN called_number = '' THEN '' ELSE 'erased' END,
        spoken_with = CASE WHEN spoken_with = '' THEN '' ELSE 'erased' END,
        reason = CASE WHEN reason = '' THEN '' ELSE 'erased' END
      WHERE investor_id = h.id;
    UPDATE investors_investor SET legal_name = shown, email = address, country = ''
      WHERE id = h.id;
    IF h.user_id IS NOT NULL THEN
      DELETE FROM core_idempotencykey WHERE principal = 'user:' || h.user_id;
      DELETE FROM account_emailaddress WHERE user_id = h.user_id;
      DELETE FROM mfa_authenticator WHERE user_id = h.user_id;
      DELETE FROM usersessions_usersession WHERE user_id = h.user_id;
      UPDATE core_user SET name = shown, email = address, is_active = false,
          password = '!' || md5(random()::text || clock_timestamp()::text)
        WHERE id = h.user_id;
    END IF;
  END IF;
  PERFORM set_config('magnet.erasing', '', true);
END $$;
REVOKE ALL ON FUNCTION wall_erases, investors_erase_person FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wall_erases TO fa_app, fa_gateway;
GRANT EXECUTE ON FUNCTION investors_erase_person TO fa_app;
"""
BACK = r"""
DROP FUNCTION investors_erase_person;
CREATE OR REPLACE FUNCTION wall_append_only() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'append-only: % on % is refused', tg_op, tg_table_name
    USING ERRCODE = 'insufficient_privilege';
END $$;
DROP FUNCTION wall_erases;
"""
FINAL = """  IF old.withdrawn_at IS NOT NULL OR old.refused_at IS NOT NULL THEN
    RAISE EXCEPTION 'changes: what"""
#: What became of a request stays as it was: its words alone go.
ERASED = f"""  IF wall_erases() AND (new.payee_id, new.called_by_id, new.called_at, new.known_since,
      new.withdrawn_at, new.withdrawn_by_id, new.refused_at, new.refused_by_id)
      IS NOT DISTINCT FROM (old.payee_id, old.called_by_id, old.called_at, old.known_since,
      old.withdrawn_at, old.withdrawn_by_id, old.refused_at, old.refused_by_id) THEN
    RETURN new;
  END IF;
{FINAL}"""


def _changed(before: str, after: str) -> str:
    return f"""
DO $change$
DECLARE said text := pg_get_functiondef('investors_change_asked()'::regprocedure);
BEGIN
  IF position($part${before}$part$ IN said) = 0 THEN
    RAISE EXCEPTION 'investors_change_asked is another than this migration changes';
  END IF;
  EXECUTE replace(said, $part${before}$part$, $part${after}$part$);
END $change$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0062_units_of_pockets"),
        ("core", "0018_advisers"),
        ("usersessions", "0001_initial"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]
    operations = [
        migrations.RunSQL(FUNCTIONS, BACK),
        migrations.RunSQL(_changed(FINAL, ERASED), _changed(ERASED, FINAL)),
    ]
