"""Files of holders by people: who is accepted, who has which account, and what a hold keeps back.

A job moves a file into a review or a hold and never out of one; an account is that of the address
that was signed; nothing is paid to a holder on hold, and no money is used that the bank took back.
"""

from django.db import migrations

FILES = r"""
-- Out of a hold lead a signed acceptance and the end of the relationship; a job leads into it.
CREATE FUNCTION investors_file_moves() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF session_user = 'fa_worker' AND (tg_op = 'INSERT'
      OR (new.kyc_state, old.kyc_state) NOT IN (('restricted', 'approved'),
        ('restricted', 'due_for_refresh'), ('due_for_refresh', 'approved'))
      OR to_jsonb(new) - 'kyc_state' <> to_jsonb(old) - 'kyc_state') THEN
    RAISE EXCEPTION 'worker: a job holds a file or has it reviewed, and nothing else of it'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF tg_op = 'UPDATE' AND new.kyc_state <> old.kyc_state AND NOT EXISTS (
      SELECT 1 FROM risk_wallinstance i WHERE i.kind = 'test') THEN
    IF old.kyc_state = 'restricted' AND new.kyc_state NOT IN ('approved', 'exited') THEN
      RAISE EXCEPTION 'KYC: a hold ends by a signed acceptance' USING ERRCODE = 'check_violation';
    END IF;
    IF new.kyc_state IN ('exited', 'declined') AND EXISTS (SELECT 1 FROM investors_holding h
        WHERE h.investor_id = new.id AND h.units > 0) THEN
      RAISE EXCEPTION 'KYC: this holder has units' USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER file_moves BEFORE INSERT OR UPDATE ON investors_investor
  FOR EACH ROW EXECUTE FUNCTION investors_file_moves();
ALTER TABLE investors_investor ENABLE ALWAYS TRIGGER file_moves;

-- The account of a holder is that of the address which was signed with his acceptance.
CREATE FUNCTION investors_account_signed_for(p_investor uuid, p_account uuid, p_email text)
  RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM core_user u WHERE u.id = p_account
      AND lower(u.email) = lower(p_email) AND NOT u.is_staff AND u.last_login IS NULL)
    AND EXISTS (SELECT 1 FROM core_signature s WHERE s.action = 'kyc.approve'
      AND s.subject = p_investor AND s.signed_at > clock_timestamp() - interval '15 minutes'
      AND position(E'\n' || 'Address: ' || wall_line(p_email) || E'\n' IN s.content) > 0)
$$;
CREATE FUNCTION investors_account_given() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT public.wall_hires()
     AND NOT public.investors_account_signed_for(new.id, new.user_id, new.email) THEN
    RAISE EXCEPTION 'investors: a holder has the account of the address that was signed'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER account_given BEFORE INSERT ON investors_investor
  FOR EACH ROW WHEN (new.user_id IS NOT NULL) EXECUTE FUNCTION investors_account_given();
CREATE TRIGGER account_given_later BEFORE UPDATE ON investors_investor
  FOR EACH ROW WHEN (old.user_id IS NULL AND new.user_id IS NOT NULL)
  EXECUTE FUNCTION investors_account_given();
ALTER TABLE investors_investor ENABLE ALWAYS TRIGGER account_given;
ALTER TABLE investors_investor ENABLE ALWAYS TRIGGER account_given_later;

-- A job opens a file and takes signatures off it; what is judged, people write.
CREATE FUNCTION investors_case_by_people() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF session_user <> 'fa_worker' THEN
    RETURN new;
  END IF;
  IF tg_op = 'INSERT' AND (num_nonnulls(new.reviewed_by_id, new.seconded_by_id, new.approved_by_id,
        new.review_due) > 0 OR new.risk <> '' OR new.is_politically_exposed OR new.points <> '{}')
     OR tg_op = 'UPDATE' AND ((new.points, new.risk, new.is_politically_exposed, new.rating_reason,
        new.review_due) IS DISTINCT FROM (old.points, old.risk, old.is_politically_exposed,
        old.rating_reason, old.review_due)
      OR new.reviewed_by_id IS NOT NULL AND (new.reviewed_by_id, new.reviewed_at, new.reviewed_hash)
        IS DISTINCT FROM (old.reviewed_by_id, old.reviewed_at, old.reviewed_hash)
      OR new.seconded_by_id IS NOT NULL AND (new.seconded_by_id, new.seconded_at)
        IS DISTINCT FROM (old.seconded_by_id, old.seconded_at)
      OR new.approved_by_id IS NOT NULL AND (new.approved_by_id, new.approved_at)
        IS DISTINCT FROM (old.approved_by_id, old.approved_at)) THEN
    RAISE EXCEPTION 'worker: no job rates or signs a file' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER by_people BEFORE INSERT OR UPDATE ON investors_kyccase
  FOR EACH ROW EXECUTE FUNCTION investors_case_by_people();
ALTER TABLE investors_kyccase ENABLE ALWAYS TRIGGER by_people;

CREATE FUNCTION investors_screening_by_people() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF session_user = 'fa_worker' AND (new.decides_id IS NOT NULL OR new.screened_by_id IS NOT NULL
      OR new.outcome NOT IN ('clear', 'possible')) THEN
    RAISE EXCEPTION 'worker: a hit is decided by people' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER by_people BEFORE INSERT ON investors_screening
  FOR EACH ROW EXECUTE FUNCTION investors_screening_by_people();
ALTER TABLE investors_screening ENABLE ALWAYS TRIGGER by_people;

CREATE FUNCTION investors_move_by_people() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF session_user = 'fa_worker' AND (new.actor_id IS NOT NULL
      OR new.to_state NOT IN ('restricted', 'due_for_refresh')) THEN
    RAISE EXCEPTION 'worker: a job holds a file or has it reviewed, and nothing else of it'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER by_people BEFORE INSERT ON investors_kycmove
  FOR EACH ROW EXECUTE FUNCTION investors_move_by_people();
ALTER TABLE investors_kycmove ENABLE ALWAYS TRIGGER by_people;

-- A power of an attorney whose own file is of high risk is decided by a director.
CREATE FUNCTION investors_power_of_grave() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM investors_kyccase k WHERE k.investor_id = new.attorney_id
        AND (k.risk = 'high' OR k.is_politically_exposed))
     AND NOT EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = new.decided_by_id
        AND g.role = 'director' AND g.revoked_at IS NULL) THEN
    RAISE EXCEPTION 'attorneys: high risk or public office: a director approves'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER power_of_grave BEFORE UPDATE ON investors_powerofattorney
  FOR EACH ROW WHEN (new.is_approved AND old.is_approved IS NULL)
  EXECUTE FUNCTION investors_power_of_grave();
ALTER TABLE investors_powerofattorney ENABLE ALWAYS TRIGGER power_of_grave;
"""

MONEY = r"""
-- Whether the bank took a receipt back by a line that is not booked: one that names it, or one that
-- names none and can mean it while its break is open.
CREATE FUNCTION investors_taken_back(p_line uuid) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM investors_statementline l
    JOIN investors_statementline r ON r.fund_id = l.fund_id AND r.currency = l.currency
      AND r.amount = -l.amount AND r.outcome = 'payment' AND r.final_at IS NULL
    WHERE l.id = p_line AND l.amount > 0 AND (
      r.end_to_end <> '' AND r.end_to_end IN (l.end_to_end, l.reference)
      OR r.return_code <> '' AND (l.account_id IS NULL OR l.account_id = r.account_id)
        AND NOT EXISTS (SELECT 1 FROM investors_bookbreak b
          WHERE b.line_id = r.id AND b.closed_at IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM investors_statementline o
          WHERE o.fund_id = r.fund_id AND o.currency = r.currency AND o.amount = -r.amount
            AND (o.account_id IS NULL OR o.account_id = r.account_id) AND o.final_at IS NOT NULL
            AND o.booked_at < r.booked_at + interval '1 day' AND o.outcome <> 'returned'
            AND r.end_to_end <> '' AND r.end_to_end IN (o.end_to_end, o.reference)
            AND NOT EXISTS (SELECT 1 FROM investors_lineallocation a
              WHERE a.line_id = o.id AND a.use = 'reversed'))))
$$;
CREATE FUNCTION investors_used_as_received() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF investors_taken_back(new.line_id) THEN
    RAISE EXCEPTION 'receipts: the bank took this money back' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER used_as_received BEFORE INSERT ON investors_lineallocation
  FOR EACH ROW WHEN (new.amount > 0 AND new.use IN ('order', 'advance', 'pocket'))
  EXECUTE FUNCTION investors_used_as_received();
ALTER TABLE investors_lineallocation ENABLE ALWAYS TRIGGER used_as_received;

-- Nothing is signed or sent to a holder on hold or whose death was reported, and no receipt goes
-- back that the bank took.
CREATE FUNCTION investors_payment_of_held() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE holder uuid := coalesce(
  (SELECT o.investor_id FROM investors_dealingorder o WHERE o.id = new.order_id),
  (SELECT p.investor_id FROM investors_payeeaccount p WHERE p.id = new.payee_id));
BEGIN
  IF EXISTS (SELECT 1 FROM investors_investor i WHERE i.id = holder AND i.kyc_state = 'restricted')
     OR EXISTS (SELECT 1 FROM investors_deathreport d
       WHERE d.investor_id = holder AND d.closed_at IS NULL) THEN
    RAISE EXCEPTION 'payment: payments to this investor are on hold'
      USING ERRCODE = 'check_violation';
  END IF;
  IF new.line_id IS NOT NULL AND investors_taken_back(new.line_id) THEN
    RAISE EXCEPTION 'payment: the bank took this receipt back' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER payment_of_held BEFORE UPDATE ON investors_payment FOR EACH ROW
  WHEN (new.state IN ('approved', 'released') AND new.state <> old.state
    OR new.approved_by_id IS DISTINCT FROM old.approved_by_id
    OR new.directed_by_id IS DISTINCT FROM old.directed_by_id)
  EXECUTE FUNCTION investors_payment_of_held();
ALTER TABLE investors_payment ENABLE ALWAYS TRIGGER payment_of_held;

REVOKE ALL ON FUNCTION investors_file_moves, investors_account_signed_for, investors_account_given,
  investors_case_by_people, investors_screening_by_people, investors_move_by_people,
  investors_power_of_grave, investors_taken_back, investors_used_as_received,
  investors_payment_of_held FROM PUBLIC;
GRANT EXECUTE ON FUNCTION investors_account_signed_for TO fa_app, fa_gateway;
"""
BACK = "".join(
    f"DROP FUNCTION investors_{name}() CASCADE;\n"
    for name in (
        "file_moves", "account_given", "case_by_people", "screening_by_people", "move_by_people",
        "power_of_grave", "used_as_received", "payment_of_held",
    )
) + "DROP FUNCTION investors_account_signed_for, investors_taken_back;"  # fmt: skip

#: Who signs an acceptance signs the address at which the holder's account is opened.
PLAIN = "|| E'\\n' || 'Kind: ' || r.kind || ', country: ' || wall_line(r.country) || E'\\n'\n"
NAMED = (
    "|| E'\\n' || 'Kind: ' || r.kind || ', country: ' || wall_line(r.country) || E'\\n'\n"
    "      || 'Address: ' || wall_line(r.email) || E'\\n'\n"
)


def _put(function: str, old: str, new: str) -> str:
    """Put one text in the place of another in a function as it stands, whichever migration wrote
    it last; a function that has it not once is not the one that this was written for."""
    return f"""
DO $put$
DECLARE was text := pg_get_functiondef('{function}'::regprocedure); old text := $old${old}$old$;
BEGIN
  IF (length(was) - length(replace(was, old, ''))) <> length(old) THEN
    RAISE EXCEPTION '{function} does not have once: %', old;
  END IF;
  EXECUTE replace(was, old, $new${new}$new$);
END $put$;
"""


WORDS = "investors_content_of_rows(text, uuid)"


class Migration(migrations.Migration):
    dependencies = [("investors", "0064_reversed_receipts")]
    operations = [
        migrations.RunSQL(FILES + MONEY, BACK),
        migrations.RunSQL(_put(WORDS, PLAIN, NAMED), _put(WORDS, NAMED, PLAIN)),
    ]
