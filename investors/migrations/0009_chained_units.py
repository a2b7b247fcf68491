"""Unit movements join a hash chain, and the ledger's covers every posting and recorded time.

The content hash of an entry was taken over amounts as they were written in Python, which no row
holds; it is taken anew over what the rows hold, so that anyone can recompute it.  A chain that was
broken before the upgrade is refused, never mended in silence.
"""

import hashlib
import json
from datetime import UTC
from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

DIGESTS = """
-- Triggers run by name: the period's sets the recorded time, and the chain hashes it afterwards.
ALTER TRIGGER ledger_period ON investors_entry RENAME TO ledger_belongs_to_open_period;
CREATE OR REPLACE FUNCTION investors_entry_digest(e investors_entry) RETURNS bytea
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT sha256(e.prev_hash || convert_to(jsonb_build_array(
    e.fund_id, e.seq, e.id, e.kind, e.source_ref, e.text,
    to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    e.content_hash, e.reverses_id, e.created_by_id, e.created_by_label, e.approved_by_id
  )::text, 'UTF8'))
$$;

CREATE FUNCTION investors_unit_digest(u investors_unitentry) RETURNS bytea
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT sha256(u.prev_hash || convert_to(jsonb_build_array(
    u.fund_id, u.seq, u.id, u.lot_id, l.number, c.code, h.investor_id, u.kind,
    trim_scale(u.units)::text, trim_scale(u.price)::text, trim_scale(u.high_water_mark)::text,
    to_char(u.hurdle_start, 'YYYY-MM-DD'), u.strike_id, u.order_id, u.entry_id,
    to_char(u.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    to_char(u.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
  )::text, 'UTF8'))
  FROM investors_unitlot l JOIN investors_shareclass c ON c.id = l.share_class_id
  JOIN investors_holding h ON h.id = l.holding_id WHERE l.id = u.lot_id
$$;

CREATE FUNCTION investors_unit_chain() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE last record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'units: the isolation level must be read committed';
  END IF;
  SELECT c.fund_id INTO STRICT new.fund_id FROM investors_unitlot l
    JOIN investors_shareclass c ON c.id = l.share_class_id WHERE l.id = new.lot_id;
  PERFORM pg_advisory_xact_lock(7002, hashtext('ledger:' || new.fund_id));
  SELECT u.seq, u.row_hash INTO last FROM investors_unitentry u
    WHERE u.fund_id = new.fund_id ORDER BY u.seq DESC LIMIT 1;
  new.seq := coalesce(last.seq, 0) + 1;
  new.prev_hash := coalesce(last.row_hash, '\\x'::bytea);
  new.row_hash := investors_unit_digest(new);
  RETURN new;
END $$;
CREATE TRIGGER unit_chain BEFORE INSERT ON investors_unitentry
  FOR EACH ROW EXECUTE FUNCTION investors_unit_chain();
ALTER TABLE investors_unitentry ENABLE ALWAYS TRIGGER unit_chain;
"""

OLD_DIGEST = """
ALTER TRIGGER ledger_belongs_to_open_period ON investors_entry RENAME TO ledger_period;
DROP FUNCTION investors_unit_chain() CASCADE;
DROP FUNCTION investors_unit_digest(investors_unitentry);
CREATE OR REPLACE FUNCTION investors_entry_digest(e investors_entry) RETURNS bytea
  LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT sha256(e.prev_hash || convert_to(jsonb_build_array(
    e.fund_id, e.seq, e.id, e.kind, e.source_ref, e.text,
    to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    e.content_hash, e.reverses_id, e.created_by_id, e.created_by_label, e.approved_by_id
  )::text, 'UTF8'))
$$;
"""

REFUSE_BROKEN = """
DO $$
DECLARE broken bigint;
BEGIN
  SELECT min(seq) INTO broken FROM (
    SELECT e.seq, e.prev_hash, e.row_hash, investors_entry_digest(e) AS digest,
           lag(e.row_hash, 1, '\\x'::bytea) OVER w AS before, lag(e.seq, 1, 0) OVER w AS last
    FROM investors_entry e WINDOW w AS (PARTITION BY e.fund_id ORDER BY e.seq)) t
  WHERE t.row_hash <> t.digest OR t.prev_hash <> t.before OR t.seq <> t.last + 1;
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION 'the hash chain of the ledger is broken at entry %: this home is not upgraded; '
      'compare it with its last backup', broken;
  END IF;
END $$;
"""

UNITS_NUMBERED = """
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE investors_unitentry DISABLE TRIGGER append_only_row;
UPDATE investors_unitentry u SET fund_id = t.fund_id, seq = t.seq
  FROM (SELECT u.id, c.fund_id,
          row_number() OVER (PARTITION BY c.fund_id ORDER BY u.id) AS seq
        FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
        JOIN investors_shareclass c ON c.id = l.share_class_id) t
  WHERE t.id = u.id;
DO $$
DECLARE u investors_unitentry; fund bigint; last bytea;
BEGIN
  FOR u IN SELECT * FROM investors_unitentry ORDER BY fund_id, seq LOOP
    IF u.fund_id IS DISTINCT FROM fund THEN fund := u.fund_id; last := '\\x'; END IF;
    u.prev_hash := last;
    last := investors_unit_digest(u);
    UPDATE investors_unitentry SET prev_hash = u.prev_hash, row_hash = last WHERE id = u.id;
  END LOOP;
END $$;
ALTER TABLE investors_unitentry ENABLE ALWAYS TRIGGER append_only_row;
"""

CHAIN_AGAIN = """
DO $$
DECLARE e investors_entry; fund bigint; last bytea;
BEGIN
  FOR e IN SELECT * FROM investors_entry ORDER BY fund_id, seq LOOP
    IF e.fund_id IS DISTINCT FROM fund THEN fund := e.fund_id; last := '\\x'; END IF;
    e.prev_hash := last;
    last := investors_entry_digest(e);
    UPDATE investors_entry SET prev_hash = e.prev_hash, row_hash = last WHERE id = e.id;
  END LOOP;
END $$;
ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER append_only_row;
"""


def hash_contents(apps, schema_editor):
    """Content hashes as they can be recomputed, by the formula of the day of this migration."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE investors_entry DISABLE TRIGGER append_only_row")
        cursor.execute(
            """SELECT e.id, e.kind, e.source_ref, e.effective_at,
                      array_agg(ARRAY[p.account_id, p.currency, trim_scale(p.amount)::text,
                        p.share_class, coalesce(p.lot::text, ''), p.instrument, p.strategy]
                        ORDER BY p.id)
               FROM investors_entry e JOIN investors_posting p ON p.entry_id = e.id GROUP BY e.id"""
        )
        rows = cursor.fetchall()
        cursor.executemany(
            "UPDATE investors_entry SET content_hash = %s WHERE id = %s",
            [(_content_hash(*rest), pk) for pk, *rest in rows],
        )


def _content_hash(kind, source, effective_at, postings):
    at = effective_at.astimezone(UTC)
    plain = [[*p[:2], f"{Decimal(p[2]):f}", *p[3:]] for p in postings]
    text = json.dumps(
        [kind, source, at.isoformat().replace("+00:00", "Z"), plain],
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(text.encode()).hexdigest()


class Migration(migrations.Migration):
    dependencies = [("investors", "0008_kyc_files")]

    operations = [
        migrations.RunSQL(REFUSE_BROKEN, migrations.RunSQL.noop),
        migrations.AddField(
            model_name="unitentry",
            name="fund",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="unit_entries",
                to="investors.fund",
            ),
        ),
        migrations.AddField(
            model_name="unitentry",
            name="seq",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="unitentry",
            name="prev_hash",
            field=models.BinaryField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="unitentry",
            name="row_hash",
            field=models.BinaryField(editable=False, null=True),
        ),
        migrations.RunSQL(
            DIGESTS,
            OLD_DIGEST
            + "ALTER TABLE investors_entry DISABLE TRIGGER append_only_row;"
            + CHAIN_AGAIN,
        ),
        migrations.RunSQL(UNITS_NUMBERED, migrations.RunSQL.noop),
        migrations.RunPython(hash_contents, migrations.RunPython.noop),
        migrations.RunSQL(CHAIN_AGAIN, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="unitentry",
            name="fund",
            field=models.ForeignKey(
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="unit_entries",
                to="investors.fund",
            ),
        ),
        migrations.AlterField(
            model_name="unitentry",
            name="seq",
            field=models.BigIntegerField(editable=False),
        ),
        migrations.AlterField(
            model_name="unitentry",
            name="prev_hash",
            field=models.BinaryField(editable=False),
        ),
        migrations.AlterField(
            model_name="unitentry",
            name="row_hash",
            field=models.BinaryField(editable=False),
        ),
        migrations.AddConstraint(
            model_name="unitentry",
            constraint=models.UniqueConstraint(
                fields=("fund", "seq"), name="investors_unitentry_seq"
            ),
        ),
    ]
