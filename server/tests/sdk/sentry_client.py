"""Drives the real Sentry SDK for Python: usage: sentry_client.py DSN USER"""

import sys

import sentry_sdk

dsn, user = sys.argv[1:3]
sentry_sdk.init(
    dsn=dsn,
    release="camera@4.2.0",
    environment="production",
    traces_sample_rate=1.0,
    send_default_pii=True,
    server_name="host-of-" + user,
    auto_session_tracking=True,
)
sentry_sdk.set_user({"id": user, "email": user, "ip_address": "203.0.113.77", "geo": {"country_code": "DE"}})
sentry_sdk.get_isolation_scope().start_session(session_mode="application")
sentry_sdk.add_breadcrumb(message="signed in as " + user, category="auth")


def open_live_view(account):
    raise ValueError("no stream for " + account + " at /Users/anna/Library/cache")


with sentry_sdk.start_transaction(op="ui.load", name="live_view"):
    pass
try:
    open_live_view(user)
except ValueError as error:
    sentry_sdk.capture_exception(error)
sentry_sdk.get_isolation_scope().end_session()
sentry_sdk.flush(timeout=10)
sentry_sdk.get_client().close(timeout=10)
