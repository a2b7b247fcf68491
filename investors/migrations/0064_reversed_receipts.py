"""A receipt that the bank took back ends: by the line that took it, once, and has no use afterwards."""

import django.db.models.deletion
from django.db import migrations, models

WALLS = r"""
CREATE FUNCTION investors_receipt_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM investors_lineallocation a
      WHERE a.line_id = new.line_id AND a.use = 'reversed') THEN
    RAISE EXCEPTION 'receipts: the bank took this money back' USING ERRCODE = 'check_violation';
  END IF;
  IF new.use = 'reversed' AND NOT EXISTS (SELECT 1 FROM investors_statementline l
      JOIN investors_statementline r ON r.id = new.reversal_id AND r.fund_id = l.fund_id
        AND r.currency = l.currency AND r.amount = -l.amount AND r.final_at IS NOT NULL
        AND r.outcome = 'reversed' AND (l.account_id IS NULL OR r.account_id = l.account_id)
      WHERE l.id = new.line_id AND new.amount = l.amount
        AND NOT EXISTS (SELECT 1 FROM investors_bookbreak b
          WHERE b.line_id = r.id AND b.entry_id IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM investors_payment p
          WHERE p.line_id = l.id AND p.state IN ('prepared', 'approved', 'released'))) THEN
    RAISE EXCEPTION 'receipts: no line of the bank takes back this whole unused receipt'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER receipt_ended BEFORE INSERT ON investors_lineallocation
  FOR EACH ROW EXECUTE FUNCTION investors_receipt_ended();
ALTER TABLE investors_lineallocation ENABLE ALWAYS TRIGGER receipt_ended;

CREATE FUNCTION investors_refund_of_standing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM investors_lineallocation a
      WHERE a.line_id = new.line_id AND a.use = 'reversed') THEN
    RAISE EXCEPTION 'payments: the bank took this receipt back' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER refund_of_standing BEFORE INSERT OR UPDATE ON investors_payment FOR EACH ROW
  WHEN (new.line_id IS NOT NULL AND new.state NOT IN ('cancelled', 'returned'))
  EXECUTE FUNCTION investors_refund_of_standing();
ALTER TABLE investors_payment ENABLE ALWAYS TRIGGER refund_of_standing;
REVOKE ALL ON FUNCTION investors_receipt_ended, investors_refund_of_standing FROM PUBLIC;

DROP TRIGGER allocation_posted ON investors_lineallocation;
CREATE CONSTRAINT TRIGGER allocation_posted AFTER INSERT ON investors_lineallocation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (new.use IN ('order', 'advance', 'pocket', 'reversed'))
  EXECUTE FUNCTION investors_allocation_posted();
ALTER TABLE investors_lineallocation ENABLE ALWAYS TRIGGER allocation_posted;
"""
UNWALLS = """
DROP FUNCTION investors_receipt_ended() CASCADE;
DROP FUNCTION investors_refund_of_standing() CASCADE;
DROP TRIGGER allocation_posted ON investors_lineallocation;
CREATE CONSTRAINT TRIGGER allocation_posted AFTER INSERT ON investors_lineallocation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.use IN ('order', 'advance', 'pocket'))
  EXECUTE FUNCTION investors_allocation_posted();
ALTER TABLE investors_lineallocation ENABLE ALWAYS TRIGGER allocation_posted;
"""

#: Lines that functions of earlier migrations take on: function, where, what stands there then.
LINES = (
    (
        "investors_entry_accounts(text)",
        "  END::text[]",
        "    WHEN 'receipt_reversed' THEN '{1020,2015}'\n  END::text[]",
    ),
    (
        "investors_entry_fault(investors_entry)",
        "    WHEN origin = 'payment' THEN",
        "    WHEN e.kind = 'receipt_reversed' THEN origin = 'allocation' AND EXISTS (\n"
        "      SELECT 1 FROM investors_lineallocation a\n"
        "      JOIN investors_statementline l ON l.id = a.line_id\n"
        "      WHERE a.entry_id = e.id AND a.use = 'reversed' AND l.fund_id = e.fund_id\n"
        "        AND a.amount = moved)\n"
        "    WHEN origin = 'payment' THEN",
    ),
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


class Migration(migrations.Migration):
    dependencies = [
        ("investors", "0063_erased_words"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="lineallocation",
            name="investors_lineallocation_named",
        ),
        migrations.AddField(
            model_name="lineallocation",
            name="reversal",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="ended",
                to="investors.statementline",
            ),
        ),
        migrations.AlterField(
            model_name="lineallocation",
            name="use",
            field=models.CharField(
                choices=[
                    ("order", "Funds an order"),
                    ("advance", "Kept for the investor's next order"),
                    ("refund", "Went back to its sender"),
                    ("pocket", "Paid for the claim of a side pocket"),
                    ("reversed", "Taken back by the bank"),
                ],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="statementline",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[
                    ("exact", "Exact"),
                    ("short", "Short"),
                    ("over", "Over"),
                    ("late", "Late"),
                    ("unknown", "Unknown"),
                    ("third_party", "Third party"),
                    ("wrong_currency", "Wrong currency"),
                    ("payment", "Payment out"),
                    ("returned", "Payment came back"),
                    ("reversed", "Took a receipt back"),
                ],
                max_length=14,
            ),
        ),
        migrations.AddConstraint(
            model_name="lineallocation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("order__isnull", False), ("use", "order")),
                    models.Q(
                        ("investor__isnull", False), ("order__isnull", True), ("use", "advance")
                    ),
                    models.Q(
                        ("order__isnull", True), ("payment__isnull", False), ("use", "refund")
                    ),
                    models.Q(
                        ("investor__isnull", True),
                        ("order__isnull", True),
                        ("payment__isnull", True),
                        ("use__in", ["pocket", "reversed"]),
                    ),
                    _connector="OR",
                ),
                name="investors_lineallocation_named",
            ),
        ),
        migrations.AddConstraint(
            model_name="lineallocation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("reversal__isnull", False), ("use", "reversed")),
                    models.Q(
                        models.Q(("use", "reversed"), _negated=True), ("reversal__isnull", True)
                    ),
                    _connector="OR",
                ),
                name="investors_lineallocation_reversal",
            ),
        ),
        migrations.AddConstraint(
            model_name="lineallocation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("use", "reversed")),
                fields=("line",),
                name="investors_lineallocation_ended_once",
            ),
        ),
        migrations.RunSQL(WALLS, UNWALLS),
        *(migrations.RunSQL(_put(f, a, b), _put(f, b, a)) for f, a, b in LINES),
    ]
