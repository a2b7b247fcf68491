"""What a thief of a database role tries, and what is expected of each statement.

``STATEMENTS`` are refused for every role named; ``HARMLESS`` go through, with the reason why they
change nothing that matters.  What is still open is in docs/operations.md, not here.
"""

from __future__ import annotations

RUN_TIME = (
    "fa_app", "fa_worker", "fa_gateway", "fa_stop", "fa_watchdog", "fa_signer", "fa_backup",
    "fa_auditor",
)  # fmt: skip
#: Everyone but the web and the trader; a job's role writes working rows, and none of these.
WITHOUT_WRITES = ("fa_worker", "fa_stop", "fa_watchdog", "fa_signer", "fa_backup", "fa_auditor")
NO_SIGNER = tuple(role for role in RUN_TIME if role != "fa_signer")
#: A dump holds every row.
NO_READER = tuple(role for role in NO_SIGNER if role != "fa_backup")

STATEMENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "a clean reconciliation": (
        ("fa_app", *WITHOUT_WRITES),
        "INSERT INTO trading_reconciliation SELECT * FROM trading_reconciliation",
    ),
    "ready to trade": (
        ("fa_app", "fa_worker"),
        "INSERT INTO trading_enginetransition (book, state, reason, actor_label, "
        "reconciliation_id, occurred_at, recorded_at) SELECT 'main', 'READY', '', 'x', id, now(), "
        "now() FROM trading_reconciliation LIMIT 1",
    ),
    "clear an instrument": (
        ("fa_app", *WITHOUT_WRITES),
        "INSERT INTO risk_fusetransition (book, scope, state, occurred_at, recorded_at) "
        "VALUES ('main', 'BTC/USDT:USDT', 'ARMED', now(), now())",
    ),
    "arm without a reset": (
        RUN_TIME,
        "INSERT INTO risk_fusetransition (book, scope, state, occurred_at, recorded_at) "
        "VALUES ('main', 'fund', 'ARMED', now(), now())",
    ),
    "steal the lease": (
        ("fa_app", *WITHOUT_WRITES),
        "UPDATE core_lease SET holder = 'thief', token = token + 1",
    ),
    "make a lease": (
        ("fa_app", *WITHOUT_WRITES),
        "INSERT INTO core_lease VALUES ('trader:main', 'thief', 99, now() + interval '1 day')",
    ),
    "make a superuser": (
        RUN_TIME,
        "INSERT INTO core_user (password, is_superuser, id, email, name, person, is_active, "
        "is_staff, is_simulated, time_zone, theme, date_joined) VALUES ('x', true, "
        "gen_random_uuid(), 'x@example.com', 'x', gen_random_uuid(), true, true, false, 'UTC', "
        "'auto', now())",
    ),
    "become a superuser": (RUN_TIME, "UPDATE core_user SET is_superuser = true"),
    "become another person": (RUN_TIME, "UPDATE core_user SET person = gen_random_uuid()"),
    "end a stop": (
        RUN_TIME,
        "INSERT INTO risk_fusestopreset SELECT id, now(), gen_random_uuid() FROM risk_fuseevent",
    ),
    "say what the database is for": (
        RUN_TIME,
        "INSERT INTO risk_wallinstance VALUES (9, 'test', 'main', now())",
    ),
    "open a clock by hand": (
        RUN_TIME,
        "INSERT INTO risk_scenarioclock VALUES ('main', now(), NULL)",
    ),
    "open a clock": (("fa_app", *WITHOUT_WRITES), "SELECT wall_open_scenario('other')"),
    "move an order": (("fa_app", *WITHOUT_WRITES), "UPDATE trading_order SET state = 'SENDING'"),
    "book a fill": (
        ("fa_app", *WITHOUT_WRITES),
        "INSERT INTO trading_fill SELECT * FROM trading_fill",
    ),
    "hold a position": (
        ("fa_app", *WITHOUT_WRITES),
        "UPDATE trading_position SET quantity = 5000",
    ),
    "make the sums of days anew": (
        ("fa_app", *WITHOUT_WRITES),
        "SELECT trading_sum_days('main')",
    ),
    "rewrite the sums of days": (RUN_TIME, "UPDATE trading_tradeday SET net = 0"),
    "add the fills up anew": (
        ("fa_app", *WITHOUT_WRITES),
        "SELECT trading_sum_fills('main')",
    ),
    "rewrite the sum of all fills": (RUN_TIME, "UPDATE trading_filltotal SET quantity = 0"),
    "judge a position by hand": (RUN_TIME, "SELECT trading_hold_position('main', 1, 'trend')"),
    "rewrite limits": (RUN_TIME, "UPDATE risk_limitset SET figures = '{}'"),
    "rewrite the ledger": (RUN_TIME, "UPDATE investors_posting SET amount = 0"),
    "put limits in force": (
        RUN_TIME,
        "INSERT INTO risk_limitset (book, version, figures, content_hash, reason, effective_from, "
        "proposed_by_id, approved_by_id, recorded_at) SELECT 'main', 9, '{}', 'x', 'x', now(), "
        "a.id, b.id, now() FROM core_user a, core_user b WHERE a.id <> b.id LIMIT 1",
    ),
    "approve a reset": (
        RUN_TIME,
        "UPDATE risk_fusereset SET approved_by_id = proposed_by_id, approved_at = now()",
    ),
    "sign for another": (
        RUN_TIME,
        "INSERT INTO core_signature SELECT * FROM core_signature",
    ),
    "record a signature": (
        NO_SIGNER,
        "SELECT signer_record(gen_random_uuid(), 'demo', '', '', NULL, '', '', '', '', '')",
    ),
    "enrol a key without an invitation": (RUN_TIME, "SELECT signer_enrol('x', 'code', 'x')"),
    "read the keys": (NO_READER, "SELECT * FROM core_signingkey"),
    "make a key": (
        RUN_TIME,
        "INSERT INTO core_signingkey (id, account, person, kind, credential, last_step, failures, "
        "enrolled_at) VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'code', "
        "'x', 0, 0, now())",
    ),
    "invite somebody": (
        RUN_TIME,
        "INSERT INTO core_signinginvite VALUES ('x', gen_random_uuid(), gen_random_uuid(), 'x', "
        "now(), now() + interval '1 day', NULL)",
    ),
    "arm as the signer": (
        WITHOUT_WRITES,
        "SELECT risk_arm_fund(gen_random_uuid(), gen_random_uuid(), NULL, 'x', now())",
    ),
    "cut the audit": (RUN_TIME, "DELETE FROM core_auditevent"),
    "switch triggers off": (RUN_TIME, "ALTER TABLE trading_order DISABLE TRIGGER ALL"),
    "act as a replica": (RUN_TIME, "SET session_replication_role = replica"),
    "become the owner": (RUN_TIME, "SET ROLE fa_owner"),
    "become the trader": (
        ("fa_app", *WITHOUT_WRITES),
        "SET ROLE fa_gateway",
    ),
    "grant itself": (RUN_TIME, "GRANT fa_gateway TO CURRENT_USER"),
    "make a role": (RUN_TIME, "CREATE ROLE x LOGIN SUPERUSER"),
    "make a function": (
        RUN_TIME,
        "CREATE FUNCTION public.wall_time(text) RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
    ),
    "make a schema": (RUN_TIME, "CREATE SCHEMA x"),
    "end other sessions": (
        RUN_TIME,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    ),
    "read a file": (RUN_TIME, "SELECT pg_read_file('/etc/passwd')"),
    "write a file": (RUN_TIME, "COPY core_user TO PROGRAM 'cat'"),
    "change the server": (RUN_TIME, "ALTER SYSTEM SET fsync = off"),
    "end who is in the way": (
        tuple(role for role in RUN_TIME if role != "fa_watchdog"),
        "SELECT watchdog_unblock('main')",
    ),
}

for _name, _table in (
    ("say that a backup was made", "operations_backup"),
    ("prove a backup that nobody restored", "operations_backupcheck"),
    ("say that the bucket gave a backup back", "operations_backupcopy"),
):
    _text = f"INSERT INTO {_table} SELECT * FROM {_table}"
    STATEMENTS[_name] = (tuple(role for role in RUN_TIME if role != "fa_backup"), _text)

for _name, _text in (
    ("forget the minutes of a book", "DELETE FROM trading_depthminute"),
    (
        "tell of walls in a book",
        "INSERT INTO trading_depthminute SELECT * FROM trading_depthminute",
    ),
    ("say what the book is worth", "INSERT INTO trading_valuation SELECT * FROM trading_valuation"),
):
    STATEMENTS[_name] = (("fa_app", *WITHOUT_WRITES), _text)

STATEMENTS["tell what became of an order"] = (
    ("fa_app", *WITHOUT_WRITES),
    "INSERT INTO trading_orderevent (order_id, seq, kind, from_state, to_state, detail, "
    "occurred_at, recorded_at) VALUES (gen_random_uuid(), 2, 'not_found', 'UNKNOWN', 'ABSENT', "
    "'{}', now(), now())",
)

STATEMENTS["say that an instrument needs no margin"] = (
    ("fa_app", *(role for role in WITHOUT_WRITES if role != "fa_worker")),
    'UPDATE trading_instrument SET maintenance_tiers = \'[["inf", "0"]]\'',
)

STATEMENTS["give an account a permission of the admin"] = (
    WITHOUT_WRITES,
    "INSERT INTO core_user_user_permissions (user_id, permission_id) "
    "SELECT u.id, p.id FROM core_user u, auth_permission p LIMIT 1",
)
STATEMENTS["end a sleeve"] = (
    WITHOUT_WRITES,
    "UPDATE trading_strategy SET is_active = false",
)

STATEMENTS["keep a dead trader alive"] = (
    ("fa_app", *WITHOUT_WRITES),
    "INSERT INTO core_heartbeat (part, instance, build_id, seen_at, detail) "
    "VALUES ('trader', 'main', '', now() + interval '1 day', '{}')",
)

_OFFICER = "(SELECT user_id FROM core_rolegrant WHERE role = 'risk_officer' LIMIT 1)"

#: Each is refused for every run-time role.
REFUSED: dict[str, str] = {
    "arm by another's id": (
        f"SELECT risk_arm_fund((SELECT id FROM risk_fusereset LIMIT 1), {_OFFICER}, NULL, 'x', "
        "now() + interval '9 days')"
    ),
    "limits by another's id": (
        f"SELECT risk_set_limits((SELECT id FROM risk_limitproposal LIMIT 1), {_OFFICER})"
    ),
    "give a role": (
        "INSERT INTO core_rolegrant (user_id, role, granted_at) "
        f"VALUES ({_OFFICER}, 'director', now())"
    ),
    "take an ended role back": "UPDATE core_rolegrant SET revoked_at = NULL",
    "end a role": "UPDATE core_rolegrant SET revoked_at = now()",
    "change a role": "UPDATE core_rolegrant SET role = 'director'",
    "move a role": f"UPDATE core_rolegrant SET user_id = {_OFFICER}",
    "delete a role": "DELETE FROM core_rolegrant",
    "make a staff account": (
        "INSERT INTO core_user (password, is_superuser, id, email, name, person, is_active, "
        "is_staff, is_simulated, time_zone, theme, date_joined) VALUES ('x', false, "
        "gen_random_uuid(), 'y@example.com', 'y', gen_random_uuid(), true, true, false, 'UTC', "
        "'auto', now())"
    ),
    "become staff": "UPDATE core_user SET is_staff = true",
    "be no simulation": "UPDATE core_user SET is_simulated = false",
    "delete an account": "DELETE FROM core_user",
    "be a second human": "UPDATE core_user SET person = gen_random_uuid() WHERE is_staff",
    "delete a stop": "DELETE FROM risk_fuseevent",
    "rewrite a stop": "UPDATE risk_fuseevent SET kind = 'note'",
    "empty the stops": "TRUNCATE risk_fuseevent CASCADE",
    "delete an arming": "DELETE FROM risk_fusetransition",
    "rewrite an arming": "UPDATE risk_fusetransition SET state = 'ARMED'",
    "delete a request": "DELETE FROM risk_fusereset",
    "rewrite a request's stops": "UPDATE risk_fusereset SET stops = '{}'",
    "rewrite a request's maker": f"UPDATE risk_fusereset SET proposed_by_id = {_OFFICER}",
    "rewrite a proposal": "UPDATE risk_limitproposal SET figures = '{}'",
    "delete a proposal": "DELETE FROM risk_limitproposal",
    "put a proposal in force": "UPDATE risk_limitproposal SET limit_set_id = 1",
    "hold the latch": "SELECT * FROM risk_fuselatch FOR UPDATE",
    "move the latch": "UPDATE risk_fuselatch SET passed_at = NULL",
    "delete the latch": "DELETE FROM risk_fuselatch",
    "lock the stops": "LOCK TABLE risk_fuseevent IN ACCESS EXCLUSIVE MODE",
    "lock the orders": "LOCK TABLE risk_fusetransition IN EXCLUSIVE MODE",
    "rewrite a barrier": "UPDATE risk_fusebarrier SET has_passed = true",
    "rewrite a reading": "UPDATE trading_reconciliation SET is_clean = true",
    "delete a reading": "DELETE FROM trading_reconciliation",
    "rewrite the engine": "UPDATE trading_enginetransition SET state = 'READY'",
    "delete an order": "DELETE FROM trading_order",
    "enlarge an order": "UPDATE trading_order SET quantity = 5000",
    "say that an order reduces": "UPDATE trading_order SET reduces = true",
    "say that an order was claimed": "UPDATE trading_order SET claimed_at = now()",
    "rewrite a fill": "UPDATE trading_fill SET quantity = 5000",
    "delete a fill": "DELETE FROM trading_fill",
    "rewrite a check": "UPDATE risk_pretradecheck SET accepted = true",
    "delete a check": "DELETE FROM risk_pretradecheck",
    "mint units in a lot": "UPDATE investors_unitlot SET units = 1000000",
    "rewrite unit entries": "UPDATE investors_unitentry SET units = 1000000",
    "delete unit entries": "DELETE FROM investors_unitentry",
    "rewrite an entry": "UPDATE investors_entry SET id = id",
    "delete a posting": "DELETE FROM investors_posting",
    "rewrite a balance": "DELETE FROM investors_entrybalance",
    "rewrite a price": "DELETE FROM investors_classnav",
    "delete a strike": "DELETE FROM investors_navstrike",
    "rewrite a strike's result": "UPDATE investors_navstrike SET nav = 1",
    "rewrite terms": "DELETE FROM investors_classpolicyversion",
    "rewrite a proposal of terms": "UPDATE investors_termsproposal SET terms = '{}'",
    "put the bank details of another": "UPDATE investors_fundaccount SET number = 'XX00THIEF'",
    "move where a holder is paid": "UPDATE investors_payeeaccount SET number = 'XX00THIEF'",
    "take a holder's account over": "UPDATE investors_payeeaccount SET investor_id = NULL",
    "need no cooling-off": "UPDATE investors_fund SET cooling_off_days = 0",
    "raise the payment band": "UPDATE investors_fund SET payment_band = 1000000",
    "enlarge a distribution": "UPDATE investors_distribution SET per_unit = 99",
    "say who is paid otherwise": "UPDATE investors_distribution SET exceptions = '[]'",
    "delete a distribution": "DELETE FROM investors_distribution",
    "owe a holder more for a wrong NAV": "UPDATE investors_restatement SET content = '{}'",
    "delete a restatement": "DELETE FROM investors_restatement",
    "sell a class cheaper": "UPDATE investors_shareclass SET launch_price = 0.01",
    "call an account approved": (
        "SELECT authority_signed('account.approve', gen_random_uuid(), gen_random_uuid(), '', "
        "interval '1 year')"
    ),
    "call a comparison with differences clean": (
        "INSERT INTO trading_reconciliation (id, book, is_clean, differences, compared, "
        "occurred_at, recorded_at) VALUES (gen_random_uuid(), 'main', true, "
        "'[{\"what\": \"cash\"}]', '{}', now(), now())"
    ),
    "go on after a stop by the comparison before it": (
        "INSERT INTO trading_enginetransition (book, state, reason, actor_label, "
        "reconciliation_id, occurred_at, recorded_at) SELECT 'main', 'READY', '', 'x', "
        "gen_random_uuid(), now(), now()"
    ),
    "have the paper venue take an order that nobody sent": (
        "INSERT INTO trading_paperorder (client_order_id, book, instrument_id, account, side, "
        "type, quantity, reduce_only, leverage, is_urgent, status, filled_quantity, reason, "
        "taken_at) VALUES ('x', 'main', 1, 'trend', 'buy', 'market', 500, false, 1, false, "
        "'open', 0, '', now())"
    ),
    "read who may sign": "SELECT authority_roles('nav.approve')",
    "rewrite the audit": "UPDATE core_auditevent SET body = '{}'",
    "empty the audit": "TRUNCATE core_auditevent CASCADE",
    "rewrite a signature": "UPDATE core_signature SET content = 'x'",
    "delete a signature": "DELETE FROM core_signature",
    "rewrite a request to sign": "UPDATE core_signaturerequest SET subject = gen_random_uuid()",
    "take somebody's key": "UPDATE core_signingkey SET account = gen_random_uuid()",
    "use an invitation again": "UPDATE core_signinginvite SET used_at = NULL",
    "say that the suite is run": "UPDATE risk_wallinstance SET kind = 'test'",
    "reopen the story": "UPDATE risk_scenarioclock SET closed_at = NULL",
    "replace the state": (
        "CREATE OR REPLACE FUNCTION public.risk_fuse_state(p_book text, p_scope text) "
        "RETURNS text LANGUAGE sql AS $$ SELECT 'ARMED' $$"
    ),
    "drop the gate": "DROP FUNCTION trading_fuse_gate() CASCADE",
    "drop a trigger": "DROP TRIGGER fuse_gate ON trading_order",
    "add a trigger": (
        "CREATE TRIGGER a BEFORE INSERT ON trading_order FOR EACH ROW "
        "EXECUTE FUNCTION wall_append_only()"
    ),
    "add a rule": "CREATE RULE r AS ON INSERT TO risk_fuseevent DO INSTEAD NOTHING",
    "drop a constraint": "ALTER TABLE trading_order DROP CONSTRAINT trading_order_not_overfilled",
    "own a table": "ALTER TABLE trading_order OWNER TO CURRENT_USER",
    "drop a table": "DROP TABLE risk_fuseevent CASCADE",
    "change another role": "ALTER ROLE fa_owner PASSWORD 'x'",
    "lift one's connection limit": "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    "act as the superuser": "SET SESSION AUTHORIZATION postgres",
    "read passwords": "SELECT rolpassword FROM pg_authid",
    "change the database": "ALTER DATABASE fresh SET session_replication_role = 'replica'",
    "make a database": "CREATE DATABASE x",
    "load code": "LOAD 'plpython3'",
    "add an extension": "CREATE EXTENSION file_fdw",
    "list files": "SELECT pg_ls_dir('.')",
    "copy a file in": "COPY core_auditevent FROM '/etc/passwd'",
    "import a file": "SELECT lo_import('/etc/passwd')",
    "reload the server": "SELECT pg_reload_conf()",
    "publish the books": "CREATE PUBLICATION p FOR ALL TABLES",
    "leave a transaction behind": "PREPARE TRANSACTION 'x'",
    "keep the log for ever": "SELECT pg_create_physical_replication_slot('x', true)",
    "follow the log": "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
    "begin a copy by hand": "SELECT pg_backup_start('x')",
    "delete candles": "DELETE FROM trading_candle",
    "rewrite candles": "UPDATE trading_candle SET close = close * 2",
    "forge a file of candles": (
        "INSERT INTO trading_candlefile (instrument_id, timeframe, starts_at, ends_at, rows, size, "
        "sha256, path, archived_at) VALUES (1, '1m', now() - interval '90 days', "
        "now() - interval '60 days', 1, 1, 'x', 'x', now())"
    ),
    "rewrite a file of candles": "UPDATE trading_candlefile SET sha256 = 'x'",
    "forget a restore test": "DELETE FROM operations_backupcheck",
    "forget what the bucket gave back": "DELETE FROM operations_backupcopy",
    "open a class by hand": "UPDATE investors_classpolicyversion SET terms = '{}'",
    "correct the NAV of a class by hand": "UPDATE investors_classnav SET nav_per_unit = 1",
    "suspend dealing in two names": (
        "INSERT INTO investors_suspensionproposal (id, fund_id, suspends, reason, notice, "
        "proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) VALUES "
        f"(gen_random_uuid(), 1, true, 'x', 'x', {_OFFICER}, now(), {_OFFICER}, now(), true)"
    ),
    "let money into a book": (
        "INSERT INTO trading_bookflow (book, amount, source_ref, text, occurred_at, recorded_at) "
        "VALUES ('main', 1000000, 'x', 'x', now(), now())"
    ),
    "close a fund": "UPDATE investors_fund SET is_suspended = true",
    "pass over a dealing day": "UPDATE investors_dealingday SET is_suspended = true",
    "say that an instrument never gaps": "UPDATE trading_instrument SET gap_floor = 0",
    "rewrite a suspension": "UPDATE investors_suspensionproposal SET suspends = false",
    "charge the fund in two names": (
        "INSERT INTO investors_expense (id, fund_id, account, supplier, reference, amount, "
        "is_yearly, first_day, reason, proposed_by_id, proposed_at, decided_by_id, decided_at, "
        "is_approved) VALUES (gen_random_uuid(), 1, '5040', 'x', 'x', 1, true, now(), '', "
        f"{_OFFICER}, now(), {_OFFICER}, now(), true)"
    ),
    "settle an invoice in two names": (
        "INSERT INTO investors_expensechange (id, expense_id, kind, amount, reference, reason, "
        "proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) VALUES "
        "(gen_random_uuid(), gen_random_uuid(), 'invoice', 0, 'x', '', "
        f"{_OFFICER}, now(), {_OFFICER}, now(), true)"
    ),
    "change a running cost": "UPDATE investors_expense SET amount = 1",
    "give fees back in two names": (
        "INSERT INTO investors_rebate (id, investor_id, share_class_id, management_share, "
        "performance_share, first_day, reference, reason, proposed_by_id, proposed_at, "
        "decided_by_id, decided_at, is_approved) VALUES (gen_random_uuid(), gen_random_uuid(), 1, "
        f"1, 1, '2030-01-01', 'x', '', {_OFFICER}, now(), {_OFFICER}, now(), true)"
    ),
    "enter a rate in two names": (
        "INSERT INTO investors_rateproposal (id, fund_id, coin, currency, source, lines, reason, "
        "proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) VALUES "
        "(gen_random_uuid(), 1, 'USDC', 'USD', 'x', '[]', '', "
        f"{_OFFICER}, now(), {_OFFICER}, now(), true)"
    ),
    "carry a coin at par in two names": (
        "INSERT INTO investors_parterm (id, fund_id, coin, is_at_par, first_day, reference, "
        "reason, proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) VALUES "
        "(gen_random_uuid(), 1, 'USDC', true, '2030-01-01', 'x', '', "
        f"{_OFFICER}, now(), {_OFFICER}, now(), true)"
    ),
    "begin a term of par earlier": "UPDATE investors_parterm SET first_day = '2020-01-01'",
    "backdate a rate": (
        "INSERT INTO investors_coinrate (coin, currency, rate, source, observed_at, arrived_at, "
        "held) VALUES ('USDC', 'USD', 1, 'x', now() - interval '1 day', now(), '')"
    ),
    "rewrite a rate": "UPDATE investors_coinrate SET rate = 1",
    "give more of the fees back": "UPDATE investors_rebate SET management_share = 1",
    "read a holder's portal unsigned": (
        "INSERT INTO investors_adviseraccess (id, investor_id, name, email, sees_holdings, "
        "sees_papers, until, invited_by_id, invited_at, granted_by_id, granted_at, confirmed_how) "
        "VALUES (gen_random_uuid(), gen_random_uuid(), 'x', 'x@example.com', true, true, now(), "
        f"{_OFFICER}, now(), {_OFFICER}, now(), '')"
    ),
    "show an adviser more": "UPDATE investors_adviseraccess SET sees_papers = true",
    "keep an adviser longer": "UPDATE investors_adviseraccess SET until = '2099-01-01'",
    "approve a power of attorney in two names": (
        "INSERT INTO investors_powerofattorney (id, investor_id, attorney_id, may_subscribe, "
        "may_redeem, first_day, last_day, deed_name, deed_type, deed_size, deed_digest, "
        "sealed_content, reason, end_reason, proposed_by_id, proposed_at, decided_by_id, "
        "decided_at, is_approved) VALUES (gen_random_uuid(), gen_random_uuid(), "
        "gen_random_uuid(), true, true, now(), now(), 'x', 'x', 1, 'x', 'x', '', '', "
        f"{_OFFICER}, now(), {_OFFICER}, now(), true)"
    ),
    "ask for another account in a holder's name": (
        "INSERT INTO investors_accountchange (id, fund_id, investor_id, kind, name, number, bank, "
        "currency, asked_by_id, asked_at, called_number, spoken_with, reason) VALUES "
        "(gen_random_uuid(), 1, gen_random_uuid(), 'bank', 'x', 'x', '', 'USD', "
        f"{_OFFICER}, now(), '', '', '')"
    ),
    "change the account that a holder asked for": (
        "UPDATE investors_accountchange SET number = 'x', name = 'x'"
    ),
    "decide on an estate in two names": (
        "INSERT INTO investors_estatestep (id, report_id, kind, ground, survivor, paper_name, "
        "paper_type, paper_digest, sealed_content, reason, proposed_by_id, proposed_at, "
        "decided_by_id, decided_at, is_approved) VALUES (gen_random_uuid(), gen_random_uuid(), "
        f"'lift', 'x', '', 'x', 'x', 'x', 'x', '', {_OFFICER}, now(), {_OFFICER}, now(), true)"
    ),
    "move a death to another holder": (
        "UPDATE investors_deathreport SET investor_id = gen_random_uuid()"
    ),
    "widen a power of attorney": "UPDATE investors_powerofattorney SET may_redeem = true",
    "change the deed of an attorney": (
        "UPDATE investors_powerofattorney SET sealed_content = 'x', deed_digest = 'x'"
    ),
    "name an attorney on an order": (
        "UPDATE investors_dealingorder SET under_power_id = gen_random_uuid()"
    ),
    "make an officer an adviser": (
        "INSERT INTO core_rolegrant (user_id, role, granted_at) SELECT "
        f"{_OFFICER}, 'adviser', now()"
    ),
    "set a claim apart in two names": (
        "INSERT INTO investors_sidepocket (id, fund_id, number, asset, account, value, cause, "
        "notice, reason, proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) "
        f"VALUES (gen_random_uuid(), 1, 9, 'x', '1030', 1, 'x', 'x', '', {_OFFICER}, now(), "
        f"{_OFFICER}, now(), true)"
    ),
    "change what a claim is worth": "UPDATE investors_sidepocket SET value = 1",
    "change what a claim came to": "UPDATE investors_pocketchange SET cash = 1",
    "move units of a side pocket": (
        "INSERT INTO investors_pocketentry (pocket_id, lot_id, kind, units, price, value, fee, "
        "high_water_mark, hurdle_start, strike_id, entry_id, effective_at) VALUES "
        "(gen_random_uuid(), gen_random_uuid(), 'created', 1, 1, 1, 0, 1, '2030-01-01', "
        "gen_random_uuid(), gen_random_uuid(), now())"
    ),
    "hide a migration": (
        "INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'x', now())"
    ),
    "give numbers out again": "SELECT setval('trading_fill_id_seq', 1)",
}
STATEMENTS.update({name: (RUN_TIME, text) for name, text in REFUSED.items()})
STATEMENTS["spoil the sessions of the stop"] = (
    tuple(role for role in RUN_TIME if role != "fa_stop"),
    "ALTER ROLE fa_stop SET default_transaction_read_only = on",
)

#: Statements that go through, and why that is no harm.  Tried while the fund is stopped.
HARMLESS: dict[str, tuple[str, str]] = {
    "shadow a table": (
        "CREATE TEMPORARY TABLE risk_fusestopreset AS SELECT 1 AS event_id",
        "the owner's functions search pg_temp last",
    ),
    "change the search path": (
        "SET search_path = pg_temp",
        "the owner's functions have a path of their own",
    ),
    "lift one's timeouts": (
        "SET statement_timeout = 0",
        "nothing that must not wait relies on them",
    ),
    "hold many advisory locks": (
        "SELECT pg_advisory_lock(n) FROM generate_series(1, 50) n",
        "a stop and a closing order take none",
    ),
    "grant a table": (
        "GRANT ALL ON risk_fuselatch TO PUBLIC",
        "who may not grant grants nothing, and is told so in a warning",
    ),
    "grant a function": (
        "GRANT EXECUTE ON FUNCTION signer_enrol TO PUBLIC",
        "who may not grant grants nothing, and is told so in a warning",
    ),
    "shout": ("NOTIFY fuse, 'armed'", "nobody acts on what a notification says"),
    "give away what one makes": (
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
        "it makes no tables but temporary ones",
    ),
    "change one's defaults": (
        "ALTER ROLE CURRENT_USER SET magnet.x = 'spoilt'",
        "a session that stops asks for its own at its start, and a start of the servers clears it",
    ),
    "make a large object": (
        "SELECT lo_from_bytea(0, 'x')",
        "nothing reads it, and rows take room as well: doctor watches the disk",
    ),
    "write into the log": (
        "SELECT pg_logical_emit_message(false, 'x', 'x')",
        "nothing reads it, and a restore passes over it",
    ),
    "pretend another name": (
        "SET application_name = 'fa_owner'",
        "no rule reads a name that a session gives itself",
    ),
}
