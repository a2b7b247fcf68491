"""Units come of orders with posted receipts under a NAV whose signed words name them; a KYC
decision, a staff role and a transfer of units take the decider's signature."""

from django.db import migrations

# Each part of the platform says its own words; the name that the signer calls is handed on to it.
CONTENT = r"""
ALTER FUNCTION authority_content RENAME TO risk_content;
CREATE FUNCTION core_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  IF p_action <> 'role.give' THEN
    RAISE EXCEPTION 'signature: % is nothing that is signed', p_action;
  END IF;
  SELECT * INTO r FROM core_roleproposal p WHERE p.id = p_subject AND p.is_grant;
  IF NOT FOUND THEN RETURN NULL; END IF;
  RETURN 'Give the role ' || wall_line(r.role) || ' to ' || wall_line(r.name) || ' <'
    || wall_line(r.email) || '>' || E'\n' || 'Reason: ' || wall_line(r.reason) || E'\n'
    || 'Proposed by: ' || wall_account(r.proposed_by_id) || ', ' || wall_when(r.proposed_at)
    || E'\n' || 'Proposal: ' || r.id;
END $$;

-- Orders that a strike deals: those of its day, of a day that was passed over, and of none yet.
CREATE FUNCTION investors_orders_due(p_strike uuid)
  RETURNS SETOF investors_dealingorder
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT o.* FROM investors_navstrike s JOIN investors_dealingday d ON d.id = s.dealing_day_id
    JOIN investors_shareclass c ON c.fund_id = s.fund_id
    JOIN investors_dealingorder o ON o.share_class_id = c.id
    LEFT JOIN investors_dealingday q ON q.id = o.dealing_day_id
    WHERE s.id = p_strike AND NOT d.is_suspended
      AND CASE WHEN o.kind IN ('subscription', 'reinvestment') THEN o.state = 'funded'
        ELSE o.state IN ('submitted', 'accepted', 'deferred') END
      AND CASE WHEN q.id IS NULL THEN o.received_at <= d.cutoff_at ELSE q.day <= d.day END
$$;

CREATE FUNCTION investors_say_orders(p_strike uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT E'\n' || 'Orders to deal: '
      || count(*) FILTER (WHERE o.kind IN ('subscription', 'reinvestment')) || ' with money, '
      || trim_scale(coalesce(sum(o.funded_amount) FILTER (WHERE o.kind IN ('subscription', 'reinvestment')), 0))
      || ' in all; ' || count(*) FILTER (WHERE o.kind NOT IN ('subscription', 'reinvestment')) || ' of units'
      || E'\n' || 'Their content: ' || encode(sha256(convert_to(coalesce(string_agg(
        jsonb_build_array(o.id, o.kind, o.investor_id, o.share_class_id, o.into_class_id,
          trim_scale(o.units), o.is_all, trim_scale(o.funded_amount))::text, E'\n' ORDER BY o.id),
        ''), 'UTF8')), 'hex')
      || coalesce((SELECT string_agg(E'\n' || 'Units for ' || trim_scale(x.funded_amount)
          || ' of class ' || wall_line(c.code) || ' to holder ' || wall_line(i.number), ''
          ORDER BY x.funded_amount DESC, x.id)
        FROM (SELECT * FROM investors_orders_due(p_strike) y WHERE y.kind IN ('subscription', 'reinvestment')
          ORDER BY y.funded_amount DESC, y.id LIMIT 40) x
        JOIN investors_shareclass c ON c.id = x.share_class_id
        JOIN investors_investor i ON i.id = x.investor_id), '')
    FROM investors_orders_due(p_strike) o
$$;

CREATE OR REPLACE FUNCTION investors_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  IF p_action = 'nav.approve' THEN
    SELECT s.*, f.code AS fund_code, f.name AS fund_name, f.currency INTO r
      FROM investors_navstrike s JOIN investors_fund f ON f.id = s.fund_id WHERE s.id = p_subject;
    IF NOT FOUND THEN RETURN NULL; END IF;
    RETURN 'Approve this NAV and deal its orders: ' || wall_line(r.fund_name) || ' ('
      || wall_line(r.fund_code) || ')' || E'\n' || 'Valued at: ' || wall_when(r.valuation_at)
      || ', version ' || r.version || E'\n' || 'NAV: ' || trim_scale(r.nav) || ' ' || r.currency
      || E'\n' || 'Gross assets: ' || trim_scale(r.gross_assets) || ' ' || r.currency
      || coalesce((SELECT string_agg(E'\n' || 'Class ' || wall_line(c.code) || ': '
          || trim_scale(n.units) || ' units at ' || coalesce(trim_scale(n.price)::text, 'no price'),
          '' ORDER BY c.code) FROM investors_classnav n
          JOIN investors_shareclass c ON c.id = n.share_class_id WHERE n.strike_id = r.id), '')
      || investors_say_orders(r.id)
      || E'\n' || 'Prepared by: ' || wall_account(r.prepared_by_id) || ', '
      || wall_when(r.prepared_at) || E'\n' || 'Result: ' || r.result_hash
      || E'\n' || 'Strike: ' || r.id;
  ELSIF p_action = 'payment.approve' THEN
    SELECT p.*, f.code AS fund_code INTO r FROM investors_payment p
      JOIN investors_fund f ON f.id = p.fund_id WHERE p.id = p_subject;
    IF NOT FOUND THEN RETURN NULL; END IF;
    RETURN 'Pay ' || trim_scale(r.amount) || ' ' || wall_line(r.currency) || ' out of the fund '
      || wall_line(r.fund_code) || ' (' || r.kind || ')' || E'\n' || 'To: ' || wall_line(r.to_name)
      || E'\n' || 'Account: ' || wall_line(r.to_number) || ' ' || wall_line(r.to_bank)
      || E'\n' || 'Text: ' || wall_line(r.text) || E'\n' || 'Prepared by: '
      || wall_account(r.prepared_by_id) || ', ' || wall_when(r.prepared_at)
      || E'\n' || 'Content: ' || r.content_hash || E'\n' || 'Payment: ' || r.number || ', ' || r.id;
  ELSIF p_action = 'kyc.approve' THEN
    SELECT i.*, k.risk, k.is_politically_exposed, k.reviewed_by_id, k.reviewed_at, k.reviewed_hash
      INTO r FROM investors_investor i JOIN investors_kyccase k ON k.investor_id = i.id
      WHERE i.id = p_subject AND k.reviewed_by_id IS NOT NULL;
    IF NOT FOUND THEN RETURN NULL; END IF;
    RETURN 'Accept this investor: ' || wall_line(r.legal_name) || ' (' || wall_line(r.number)
      || ')' || E'\n' || 'Kind: ' || r.kind || ', country: ' || wall_line(r.country) || E'\n'
      || 'Risk: ' || wall_line(r.risk) || CASE WHEN r.is_politically_exposed
        THEN ', holds a public office' ELSE '' END
      || E'\n' || 'Reviewed by: ' || wall_account(r.reviewed_by_id) || ', '
      || wall_when(r.reviewed_at) || E'\n' || 'File: ' || r.reviewed_hash
      || E'\n' || 'Investor: ' || r.id;
  ELSIF p_action = 'dealing.approve' THEN
    SELECT p.*, c.code, g.number AS giver, t.number AS taker INTO r
      FROM investors_dealingproposal p JOIN investors_shareclass c ON c.id = p.share_class_id
      JOIN investors_investor g ON g.id = p.investor_id
      JOIN investors_investor t ON t.id = p.receiver_id
      WHERE p.id = p_subject AND p.kind = 'transfer';
    IF NOT FOUND THEN RETURN NULL; END IF;
    RETURN 'Move ' || coalesce(trim_scale(r.units)::text, 'all') || ' units of class '
      || wall_line(r.code) || ' from holder ' || wall_line(r.giver) || ' to holder '
      || wall_line(r.taker) || E'\n' || 'Instruction: ' || wall_line(r.instruction) || E'\n'
      || 'Reason: ' || wall_line(r.reason) || E'\n' || 'Proposed by: '
      || wall_account(r.proposed_by_id) || ', ' || wall_when(r.proposed_at)
      || E'\n' || 'Proposal: ' || r.id;
  ELSE
    RAISE EXCEPTION 'signature: % is nothing that is signed', p_action;
  END IF;
END $$;

CREATE FUNCTION authority_content(p_action text, p_subject uuid) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE split_part(p_action, '.', 1)
    WHEN 'fuse' THEN risk_content(p_action, p_subject)
    WHEN 'limits' THEN risk_content(p_action, p_subject)
    WHEN 'role' THEN core_content(p_action, p_subject)
    ELSE investors_content(p_action, p_subject) END
$$;
"""

UNITS = r"""
-- What may move units: the strike that is being dealt, on the orders that its signed words name,
-- at its prices; or a transfer, which a deferred trigger holds against its proposal.
CREATE FUNCTION investors_units_dealt() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE bad text;
BEGIN
  SELECT a.kind INTO bad FROM added a WHERE a.kind NOT IN ('issue', 'redeem', 'fee_cancel',
      'switch_out', 'switch_in', 'transfer_out', 'transfer_in', 'clock', 'distribution')
    OR a.units < 0 AND a.kind IN ('issue', 'switch_in', 'transfer_in')
    OR a.units > 0 AND a.kind NOT IN ('issue', 'switch_in', 'transfer_in')
    OR a.units <> 0 AND a.kind = 'distribution' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'units: % is no such movement', bad USING ERRCODE = 'check_violation';
  END IF;
  SELECT a.kind INTO bad FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
    JOIN investors_shareclass c ON c.id = l.share_class_id
    LEFT JOIN investors_navstrike s ON s.id = a.strike_id AND s.state = 'approved'
      AND s.fund_id = c.fund_id AND s.valuation_at = a.effective_at
    LEFT JOIN investors_classnav n ON n.strike_id = s.id AND n.share_class_id = c.id
    WHERE a.kind NOT IN ('transfer_out', 'transfer_in', 'distribution')
      AND (n.id IS NULL OR a.price <> coalesce(n.price, c.launch_price)
        OR a.high_water_mark <> CASE WHEN a.kind IN ('issue', 'switch_in', 'fee_cancel')
          THEN a.price ELSE l.high_water_mark END) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'units: % without a NAV that is being dealt at this price', bad
      USING ERRCODE = 'check_violation';
  END IF;
  SELECT a.kind INTO bad FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
    JOIN investors_holding h ON h.id = l.holding_id
    LEFT JOIN investors_dealingorder o ON o.id = a.order_id AND o.investor_id = h.investor_id
      AND CASE a.kind WHEN 'issue' THEN o.kind IN ('subscription', 'reinvestment')
        WHEN 'redeem' THEN o.kind = 'redemption' ELSE o.kind = 'switch' END
      AND CASE a.kind WHEN 'switch_in' THEN o.into_class_id ELSE o.share_class_id END
        = l.share_class_id
    WHERE a.kind IN ('issue', 'redeem', 'switch_out', 'switch_in')
      AND (o.id IS NULL OR NOT EXISTS (SELECT 1 FROM investors_orders_due(a.strike_id) d
        WHERE d.id = o.id)) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'units: % without an order of this holder that is due', bad
      USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM investors_dealingorder o JOIN investors_unitentry u ON u.order_id = o.id
      WHERE u.kind = 'issue' AND o.id IN (SELECT a.order_id FROM added a WHERE a.kind = 'issue')
      GROUP BY o.id, o.funded_amount HAVING sum(u.units * u.price) > o.funded_amount + 0.01) THEN
    RAISE EXCEPTION 'units: more than the money of the order buys'
      USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM investors_dealingorder o JOIN investors_unitentry u ON u.order_id = o.id
      WHERE u.kind IN ('redeem', 'switch_out') AND NOT o.is_all
        AND (o.id, u.strike_id) IN (SELECT a.order_id, a.strike_id FROM added a
          WHERE a.kind IN ('redeem', 'switch_out'))
      GROUP BY o.id, o.units HAVING sum(-u.units) > o.units) THEN
    RAISE EXCEPTION 'units: more than the order takes' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM investors_unitentry u
      WHERE u.kind IN ('switch_in', 'switch_out') AND (u.order_id, u.strike_id) IN (
        SELECT a.order_id, a.strike_id FROM added a WHERE a.kind = 'switch_in')
      GROUP BY u.order_id HAVING sum(u.units * u.price) > 0.01) THEN
    RAISE EXCEPTION 'units: a switch buys no more than it leaves' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM added a JOIN investors_unitlot l ON l.id = a.lot_id
      LEFT JOIN investors_entry e ON e.id = a.entry_id
      LEFT JOIN investors_distribution d ON e.source_ref = 'distribution_declared:' || d.id
        AND d.share_class_id = l.share_class_id
      WHERE a.kind = 'distribution' AND (d.id IS NULL OR d.is_approved IS FALSE
        OR a.high_water_mark > l.high_water_mark)) THEN
    RAISE EXCEPTION 'units: a mark falls with a distribution alone'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
-- Before unit_entry_apply by its name: it compares with the lots as they were.
CREATE TRIGGER dealt_units AFTER INSERT ON investors_unitentry
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_units_dealt();
ALTER TABLE investors_unitentry ENABLE ALWAYS TRIGGER dealt_units;

CREATE FUNCTION investors_units_transferred() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  SELECT p.* INTO r FROM investors_entry e
    JOIN investors_dealingproposal p ON e.source_ref = 'units_transferred:' || p.id
    WHERE e.id = new.entry_id AND p.kind = 'transfer' AND p.is_approved;
  IF NOT FOUND OR NOT EXISTS (SELECT 1 FROM investors_unitlot l
       JOIN investors_holding h ON h.id = l.holding_id
       WHERE l.id = new.lot_id AND l.share_class_id = r.share_class_id AND h.investor_id
         = CASE new.kind WHEN 'transfer_out' THEN r.investor_id ELSE r.receiver_id END)
     OR (SELECT sum(u.units) FROM investors_unitentry u WHERE u.entry_id = new.entry_id) <> 0
     OR (SELECT sum(u.units) FROM investors_unitentry u WHERE u.entry_id = new.entry_id
         AND u.units > 0) > r.units THEN
    RAISE EXCEPTION 'units: a transfer without an approved proposal'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER transferred_units AFTER INSERT ON investors_unitentry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (new.kind IN ('transfer_out', 'transfer_in'))
  EXECUTE FUNCTION investors_units_transferred();
ALTER TABLE investors_unitentry ENABLE ALWAYS TRIGGER transferred_units;

-- Results stand before the strike is signed, and a strike that was approved is dealt at once.
CREATE FUNCTION investors_of_prepared() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added a JOIN investors_navstrike s ON s.id = a.strike_id
      WHERE s.state <> 'prepared') THEN
    RAISE EXCEPTION 'NAV: a result comes before the approval' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER of_prepared AFTER INSERT ON investors_classnav REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_of_prepared();
ALTER TABLE investors_classnav ENABLE ALWAYS TRIGGER of_prepared;
CREATE TRIGGER of_prepared AFTER INSERT ON investors_lotnav REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_of_prepared();
ALTER TABLE investors_lotnav ENABLE ALWAYS TRIGGER of_prepared;

CREATE FUNCTION investors_nav_dealt_at_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (SELECT s.state FROM investors_navstrike s WHERE s.id = new.id) = 'approved' THEN
    RAISE EXCEPTION 'NAV: an approval deals in its own transaction'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER nav_dealt_at_once AFTER UPDATE ON investors_navstrike
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.state = 'approved')
  EXECUTE FUNCTION investors_nav_dealt_at_once();
ALTER TABLE investors_navstrike ENABLE ALWAYS TRIGGER nav_dealt_at_once;
"""

MONEY = r"""
CREATE FUNCTION investors_order_money() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF tg_op = 'INSERT' AND new.distribution_id IS NOT NULL THEN
    IF NOT EXISTS (SELECT 1 FROM investors_distribution d
        JOIN core_user maker ON maker.id = d.proposed_by_id
        JOIN core_user checker ON checker.id = d.decided_by_id AND checker.person <> maker.person
        WHERE d.id = new.distribution_id AND d.is_approved
          AND d.share_class_id = new.share_class_id) THEN
      RAISE EXCEPTION 'orders: a distribution that two people have not decided'
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  ELSIF tg_op = 'INSERT' THEN
    IF new.funded_amount <> 0 OR new.funded_at IS NOT NULL OR new.dealt_units IS NOT NULL
       OR new.state NOT IN ('submitted', 'accepted', 'rejected') THEN
      RAISE EXCEPTION 'orders: an order begins without money and without units'
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
  END IF;
  IF new.state = 'funded' AND (new.funded_amount <= 0 OR new.funded_at IS NULL
      OR NOT (new.funded_amount = new.amount OR new.is_part_taken)) THEN
    RAISE EXCEPTION 'orders: funded without its money' USING ERRCODE = 'check_violation';
  END IF;
  IF new.funded_amount IS DISTINCT FROM old.funded_amount AND EXISTS (
      SELECT 1 FROM investors_navstrike s JOIN investors_shareclass c ON c.fund_id = s.fund_id
      WHERE c.id = old.share_class_id AND s.state = 'approved') THEN
    RAISE EXCEPTION 'orders: the money of a NAV that is being dealt is fixed'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER order_money BEFORE INSERT OR UPDATE ON investors_dealingorder
  FOR EACH ROW EXECUTE FUNCTION investors_order_money();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER order_money;

CREATE FUNCTION investors_order_receipts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (SELECT o.funded_amount FROM investors_dealingorder o WHERE o.id = new.id)
     <> coalesce((SELECT sum(a.amount) FROM investors_lineallocation a
       WHERE a.order_id = new.id AND a.use = 'order'), 0) THEN
    RAISE EXCEPTION 'orders: the money of an order is that of its receipts'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER order_receipts AFTER UPDATE ON investors_dealingorder
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (new.funded_amount IS DISTINCT FROM old.funded_amount AND new.kind = 'subscription')
  EXECUTE FUNCTION investors_order_receipts();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER order_receipts;

-- No more is owed to holders than the distribution that two people decided.
CREATE FUNCTION investors_orders_distributed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM investors_dealingorder o
      JOIN investors_distribution d ON d.id = o.distribution_id
      WHERE d.id IN (SELECT a.distribution_id FROM added a)
      GROUP BY d.id, d.total HAVING sum(o.amount) > d.total) THEN
    RAISE EXCEPTION 'orders: more than the distribution' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER distributed_orders AFTER INSERT ON investors_dealingorder
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION investors_orders_distributed();
ALTER TABLE investors_dealingorder ENABLE ALWAYS TRIGGER distributed_orders;

-- A receipt that is put to a use is final, stands in the ledger, and is used once.
CREATE FUNCTION investors_allocation_posted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  SELECT l.*, f.code AS fund_code, coalesce(k.code, 'hand') AS place INTO r
    FROM investors_statementline l JOIN investors_fund f ON f.id = l.fund_id
    LEFT JOIN investors_fundaccount k ON k.id = l.account_id WHERE l.id = new.line_id;
  IF r.final_at IS NULL OR NOT EXISTS (SELECT 1 FROM investors_entry e
       JOIN investors_posting p ON p.entry_id = e.id AND p.amount = r.amount
         AND p.currency = r.currency
       WHERE e.fund_id = r.fund_id
         AND e.source_ref = 'receipt:' || r.fund_code || ':' || r.place || ':' || r.reference) THEN
    RAISE EXCEPTION 'receipts: money that is not posted is put to no use'
      USING ERRCODE = 'check_violation';
  END IF;
  IF (SELECT sum(a.amount) FROM investors_lineallocation a WHERE a.line_id = r.id) <> r.allocated
     OR (SELECT sum(a.amount) FROM investors_lineallocation a WHERE a.line_id = r.id
       AND a.entry_id IS NULL) <> 0
     OR (new.entry_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM investors_posting p
       WHERE p.entry_id = new.entry_id AND p.amount = new.amount)) THEN
    RAISE EXCEPTION 'receipts: a use without its entry, or of money that has a use'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER allocation_posted AFTER INSERT ON investors_lineallocation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.use IN ('order', 'advance'))
  EXECUTE FUNCTION investors_allocation_posted();
ALTER TABLE investors_lineallocation ENABLE ALWAYS TRIGGER allocation_posted;
"""

DECISIONS = r"""
-- An investor is accepted on the signature of whoever decided, another person than the reviewer.
CREATE FUNCTION investors_kyc_signed() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF new.kyc_state = 'approved' AND NOT public.wall_hires()
     AND (tg_op = 'INSERT' OR old.kyc_state <> 'approved') THEN
    PERFORM public.investors_require_kyc(new.id);
  END IF;
  RETURN new;
END $$;
CREATE FUNCTION investors_require_kyc(p_investor uuid) RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE r record;
BEGIN
  SELECT k.*, a.person AS decider, v.person AS reviewer INTO r FROM investors_kyccase k
    LEFT JOIN core_user a ON a.id = k.approved_by_id
    LEFT JOIN core_user v ON v.id = k.reviewed_by_id WHERE k.investor_id = p_investor;
  IF NOT FOUND OR r.decider IS NULL OR r.reviewer IS NULL OR r.decider = r.reviewer THEN
    RAISE EXCEPTION 'KYC: a file takes a review and the decision of another person'
      USING ERRCODE = 'check_violation';
  END IF;
  IF NOT EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.user_id = r.approved_by_id
       AND g.revoked_at IS NULL AND (g.role = 'director'
         OR g.role = 'compliance' AND r.risk <> 'high' AND NOT r.is_politically_exposed)) THEN
    RAISE EXCEPTION 'KYC: whoever decides has not the role for this file'
      USING ERRCODE = 'check_violation';
  END IF;
  PERFORM authority_signed('kyc.approve', p_investor, r.approved_by_id, '', interval '15 minutes');
END $$;
CREATE TRIGGER kyc_signed BEFORE INSERT OR UPDATE ON investors_investor
  FOR EACH ROW EXECUTE FUNCTION investors_kyc_signed();
ALTER TABLE investors_investor ENABLE ALWAYS TRIGGER kyc_signed;

CREATE FUNCTION core_require_role(p_proposal uuid, p_decider uuid) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT authority_signed('role.give', p_proposal, p_decider, '', interval '15 minutes')
$$;
CREATE FUNCTION core_role_signed() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF new.is_approved AND new.is_grant AND new.decided_by_id IS NOT NULL
     AND NOT public.wall_hires() THEN
    IF tg_op = 'INSERT' THEN
      RAISE EXCEPTION 'roles: it is proposed first and decided by another person'
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM public.core_require_role(old.id, new.decided_by_id);
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER role_signed BEFORE INSERT OR UPDATE ON core_roleproposal
  FOR EACH ROW EXECUTE FUNCTION core_role_signed();
ALTER TABLE core_roleproposal ENABLE ALWAYS TRIGGER role_signed;

CREATE FUNCTION investors_transfer_signed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE book text := (SELECT f.book FROM investors_shareclass c
  JOIN investors_fund f ON f.id = c.fund_id WHERE c.id = new.share_class_id);
BEGIN
  IF new.kind = 'transfer' AND new.is_approved THEN
    IF tg_op = 'INSERT' OR (SELECT u.person FROM core_user u WHERE u.id = new.decided_by_id)
       IS NOT DISTINCT FROM (SELECT u.person FROM core_user u WHERE u.id = old.proposed_by_id) THEN
      RAISE EXCEPTION 'units: a transfer is proposed by one and decided by another person'
        USING ERRCODE = 'check_violation';
    END IF;
    IF old.is_approved IS NULL THEN
      PERFORM authority_signed('dealing.approve', old.id, new.decided_by_id, book,
        interval '15 minutes');
    END IF;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER transfer_signed BEFORE INSERT OR UPDATE ON investors_dealingproposal
  FOR EACH ROW EXECUTE FUNCTION investors_transfer_signed();
ALTER TABLE investors_dealingproposal ENABLE ALWAYS TRIGGER transfer_signed;
"""

GRANTS = """
REVOKE ALL ON FUNCTION authority_content, core_content, investors_content, investors_orders_due,
  investors_say_orders, investors_units_dealt, investors_units_transferred, investors_of_prepared,
  investors_nav_dealt_at_once, investors_orders_distributed, investors_order_money, investors_order_receipts,
  investors_allocation_posted, investors_kyc_signed, investors_require_kyc, core_require_role,
  core_role_signed,
  investors_transfer_signed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION authority_content TO fa_app, fa_gateway, fa_signer, fa_auditor;
-- They only read and refuse; the triggers that call them run as whoever writes.
GRANT EXECUTE ON FUNCTION investors_require_kyc, core_require_role TO fa_app, fa_gateway;
"""

# The functions of the triggers go; the words stay, without the orders that they listed.
_WORDS = CONTENT[
    CONTENT.index("CREATE OR REPLACE FUNCTION investors_content") : CONTENT.index(
        "CREATE FUNCTION authority_content"
    )
]
WITHOUT = (
    _WORDS.replace("      || investors_say_orders(r.id)\n", "")
    + """
DROP FUNCTION investors_units_dealt() CASCADE;
DROP FUNCTION investors_units_transferred() CASCADE;
DROP FUNCTION investors_of_prepared() CASCADE;
DROP FUNCTION investors_nav_dealt_at_once() CASCADE;
DROP FUNCTION investors_orders_distributed() CASCADE;
DROP FUNCTION investors_order_money() CASCADE;
DROP FUNCTION investors_order_receipts() CASCADE;
DROP FUNCTION investors_allocation_posted() CASCADE;
DROP FUNCTION investors_kyc_signed() CASCADE;
DROP FUNCTION investors_require_kyc CASCADE;
DROP FUNCTION core_role_signed() CASCADE;
DROP FUNCTION core_require_role;
DROP FUNCTION investors_transfer_signed() CASCADE;
DROP FUNCTION authority_content;
ALTER FUNCTION risk_content RENAME TO authority_content;
DROP FUNCTION core_content;
DROP FUNCTION investors_say_orders;
DROP FUNCTION investors_orders_due;
"""
)


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0019_distributions"),
        ("core", "0012_names_in_the_plural"),
        ("risk", "0008_names_in_the_plural"),
    ]
    operations = [
        migrations.RunSQL(CONTENT + UNITS + MONEY + DECISIONS + GRANTS, WITHOUT),
    ]
