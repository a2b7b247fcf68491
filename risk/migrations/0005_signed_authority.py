"""Arming and limits happen in functions of the owner, on signatures that the signer alone writes.

A signature names the words that were signed; the function reads the same words from the rows again.
Only the suite and a story that is told (the demo's past, a replay) have invented signatures.
"""

from django.db import migrations

SIGNATURES = r"""
CREATE FUNCTION wall_invents(p_book text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM risk_wallinstance i WHERE i.kind = 'test')
    OR EXISTS (SELECT 1 FROM risk_scenarioclock c WHERE c.book = p_book AND c.closed_at IS NULL)
$$;

CREATE FUNCTION wall_when(p_at timestamptz) RETURNS text
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'
$$;

-- No text that somebody typed can begin a line of its own.
CREATE FUNCTION wall_line(p_text text) RETURNS text
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT regexp_replace(p_text, '[[:cntrl:]\u2028\u2029\u202a-\u202e\u2066-\u2069]+', ' ', 'g')
$$;

CREATE FUNCTION wall_account(p_account uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce((SELECT wall_line(u.name) || ' <' || u.email || '>' FROM core_user u
    WHERE u.id = p_account), p_account::text)
$$;

-- The words that are shown and signed: stored rows alone, no reading of the moment.
CREATE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record; said text;
BEGIN
  IF p_action = 'fuse.arm' THEN
    SELECT * INTO r FROM risk_fusereset x WHERE x.id = p_subject;
    IF NOT FOUND THEN RETURN NULL; END IF;
    said := 'Arm the fund: orders of book ' || r.book || ' may add exposure again.' || E'\n'
      || 'Requested by: ' || wall_account(r.proposed_by_id) || ', ' || wall_when(r.proposed_at)
      || E'\n' || 'Reason: ' || wall_line(r.reason) || E'\n' || 'Clean reconciliation: '
      || wall_line(r.reconciliation);
    said := said || coalesce((SELECT string_agg(E'\n' || 'Ends the stop of '
        || wall_when(e.occurred_at) || ': ' || e.kind || ' ' || e.trigger || ' ' || wall_line(e.reason)
        || ' [' || e.id || ']', '' ORDER BY e.occurred_at, e.id)
      FROM risk_fuseevent e WHERE e.id = ANY (r.stops)), E'\n' || 'No stop is open.');
    RETURN said || E'\n' || 'Request: ' || r.id;
  ELSIF p_action = 'limits.set' THEN
    SELECT * INTO r FROM risk_limitproposal x WHERE x.id = p_subject;
    IF NOT FOUND THEN RETURN NULL; END IF;
    said := 'Put these limits of book ' || r.book || ' in force from '
      || wall_when(r.effective_from) || E'\n' || 'Proposed by: ' || wall_account(r.proposed_by_id)
      || ', ' || wall_when(r.proposed_at) || E'\n' || 'Reason: ' || wall_line(r.reason);
    said := said || coalesce((SELECT string_agg(E'\n' || f.key || ': '
        || coalesce(f.value, 'none'), '' ORDER BY f.key)
      FROM jsonb_each_text(r.figures) f), '');
    RETURN said || E'\n' || 'Proposal: ' || r.id;
  END IF;
  RAISE EXCEPTION 'signature: % is nothing that is signed', p_action;
END $$;

-- Raises unless the account signed exactly this, recently enough.  A story's book needs none.
CREATE FUNCTION authority_signed(
    p_action text, p_subject uuid, p_account uuid, p_book text, p_age interval) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF wall_invents(p_book) THEN
    RETURN;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM core_signature s WHERE s.action = p_action
       AND s.subject = p_subject AND s.account = p_account
       AND s.content = authority_content(p_action, p_subject)
       AND s.signed_at > clock_timestamp() - p_age
       AND (s.method <> 'demo' OR EXISTS (SELECT 1 FROM risk_wallinstance i
         WHERE i.kind = 'demo'))) THEN
    RAISE EXCEPTION 'signature: % has not signed this', wall_account(p_account)
      USING DETAIL = p_account::text;
  END IF;
END $$;

CREATE FUNCTION signer_record(
    p_request uuid, p_method text, p_content text, p_nonce bytea, p_key uuid, p_public_key bytea,
    p_client_data bytea, p_authenticator_data bytea, p_signature bytea, p_origin text) RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record; made uuid := gen_random_uuid(); owner uuid;
BEGIN
  SELECT x.*, u.person, u.is_active INTO r FROM core_signaturerequest x
    JOIN core_user u ON u.id = x.account WHERE x.id = p_request;
  IF NOT FOUND OR NOT r.is_active
     OR abs(extract(epoch FROM clock_timestamp() - r.requested_at)) > 900 THEN
    RAISE EXCEPTION 'signature: this request is unknown or has expired';
  END IF;
  IF p_content IS DISTINCT FROM authority_content(r.action, r.subject) THEN
    RAISE EXCEPTION 'signature: what is signed has changed since it was shown';
  END IF;
  IF length(p_nonce) < 16 THEN
    RAISE EXCEPTION 'signature: the nonce is too short';
  END IF;
  IF p_method = 'demo' THEN
    IF NOT EXISTS (SELECT 1 FROM risk_wallinstance i WHERE i.kind = 'demo') THEN
      RAISE EXCEPTION 'signature: only the demo has invented people';
    END IF;
  ELSIF NOT EXISTS (SELECT 1 FROM core_signingkey k WHERE k.id = p_key AND k.kind = p_method
       AND k.account = r.account AND k.person = r.person AND k.revoked_at IS NULL) THEN
    RAISE EXCEPTION 'signature: the key is not of this person';
  END IF;
  INSERT INTO core_signature (id, action, subject, account, person, method, content, nonce, key,
      public_key, client_data, authenticator_data, signature, origin, signed_at)
    VALUES (made, r.action, r.subject, r.account, r.person, p_method, p_content, p_nonce, p_key,
      p_public_key, p_client_data, p_authenticator_data, p_signature, p_origin,
      clock_timestamp());
  RETURN made;
END $$;
"""

ARMING = """
-- Two signatures of two people, and whatever the triggers of the rows ask for.
CREATE FUNCTION risk_arm_fund(
    p_reset uuid, p_approver uuid, p_director uuid, p_label text, p_at timestamptz) RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record; at timestamptz; event uuid := gen_random_uuid();
BEGIN
  SELECT * INTO r FROM risk_fusereset x WHERE x.id = p_reset FOR UPDATE;
  IF NOT FOUND OR r.approved_at IS NOT NULL OR r.withdrawn_at IS NOT NULL THEN
    RAISE EXCEPTION 'fuse: this request is closed';
  END IF;
  PERFORM authority_signed('fuse.arm', r.id, p_approver, r.book, interval '15 minutes');
  PERFORM authority_signed('fuse.arm', r.id, r.proposed_by_id, r.book, interval '24 hours');
  IF p_director IS NOT NULL THEN
    PERFORM authority_signed('fuse.arm', r.id, p_director, r.book, interval '24 hours');
  END IF;
  at := wall_time(r.book, p_at);
  UPDATE risk_fusereset x SET approved_by_id = p_approver, approved_at = at,
    director_id = p_director WHERE x.id = r.id;
  INSERT INTO risk_fuseevent (id, book, scope, kind, trigger, strategy, measured, action, reason,
      actor_id, actor_label, occurred_at, recorded_at)
    VALUES (event, r.book, 'fund', 'armed', coalesce(nullif(r.trigger, ''), 'start'), '', '{}', '',
      r.reason, p_approver, left(p_label, 120), at, clock_timestamp());
  INSERT INTO risk_fusetransition (book, scope, state, event_id, reset_id, occurred_at,
      recorded_at) VALUES (r.book, 'fund', 'ARMED', event, r.id, at, clock_timestamp());
  RETURN event;
END $$;

CREATE FUNCTION risk_set_limits(p_proposal uuid, p_approver uuid) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record; made bigint; version_no integer;
BEGIN
  SELECT * INTO r FROM risk_limitproposal x WHERE x.id = p_proposal FOR UPDATE;
  IF NOT FOUND OR r.limit_set_id IS NOT NULL OR r.withdrawn_at IS NOT NULL THEN
    RAISE EXCEPTION 'limits: this proposal is closed';
  END IF;
  IF (SELECT u.person FROM core_user u WHERE u.id = p_approver)
     IS NOT DISTINCT FROM (SELECT u.person FROM core_user u WHERE u.id = r.proposed_by_id) THEN
    RAISE EXCEPTION 'limits: proposer and approver are the same person';
  END IF;
  IF EXISTS (SELECT 1 FROM unnest(ARRAY[p_approver, r.proposed_by_id]) a WHERE NOT EXISTS (
       SELECT 1 FROM core_rolegrant g WHERE g.user_id = a AND g.role = 'risk_officer'
         AND g.revoked_at IS NULL)) THEN
    RAISE EXCEPTION 'limits: proposer and approver must be risk officers';
  END IF;
  PERFORM authority_signed('limits.set', r.id, p_approver, r.book, interval '15 minutes');
  PERFORM authority_signed('limits.set', r.id, r.proposed_by_id, r.book, interval '7 days');
  SELECT coalesce(max(l.version), 0) + 1 INTO version_no FROM risk_limitset l WHERE l.book = r.book;
  INSERT INTO risk_limitset (book, version, figures, content_hash, reason, effective_from,
      proposed_by_id, approved_by_id, recorded_at)
    VALUES (r.book, version_no, r.figures, r.content_hash, r.reason, r.effective_from,
      r.proposed_by_id, p_approver, clock_timestamp()) RETURNING id INTO made;
  UPDATE risk_limitproposal SET limit_set_id = made WHERE id = r.id;
  RETURN version_no;
END $$;
"""

GRANTS = """
REVOKE ALL ON FUNCTION wall_invents, wall_when, wall_line, wall_account, authority_content, authority_signed,
  signer_record, risk_arm_fund, risk_set_limits FROM PUBLIC;
GRANT EXECUTE ON FUNCTION authority_content TO fa_app, fa_gateway, fa_signer, fa_auditor;
GRANT EXECUTE ON FUNCTION signer_record TO fa_signer;
GRANT SELECT ON risk_wallinstance TO fa_signer;
-- Replays arm a book of their own as the trader's role.
GRANT EXECUTE ON FUNCTION risk_arm_fund, risk_set_limits TO fa_app, fa_gateway;
REVOKE INSERT ON risk_fusetransition FROM fa_app;
REVOKE INSERT ON risk_limitset FROM fa_app, fa_gateway;
REVOKE UPDATE ON risk_fusereset, risk_limitproposal FROM fa_app, fa_gateway;
GRANT UPDATE (withdrawn_at) ON risk_fusereset, risk_limitproposal TO fa_app, fa_gateway;
"""

NOOP = migrations.RunSQL.noop


class Migration(migrations.Migration):
    dependencies = [("risk", "0004_wall_clock"), ("core", "0008_signatures")]
    operations = [
        migrations.RunSQL(SIGNATURES, NOOP),
        migrations.RunSQL(ARMING, NOOP),
        migrations.RunSQL(GRANTS, NOOP),
    ]
