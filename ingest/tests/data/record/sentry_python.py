"""A crash, a transaction with spans, a message and a session of sentry-sdk. Usage: sentry_python.py PORT"""
import sys

import sentry_sdk

sentry_sdk.init(
    f"http://key1@127.0.0.1:{sys.argv[1]}/42", release="camera@4.2.0", environment="production", traces_sample_rate=1.0,
    send_default_pii=True, auto_session_tracking=True, server_name="phone", attach_stacktrace=True,
)
sentry_sdk.set_user({"id": "user-1", "email": "anna@example.com", "ip_address": "203.0.113.7"})
sentry_sdk.set_context("device", {"model": "iPhone7,2", "name": "Anna's iPhone"})
sentry_sdk.set_context("os", {"name": "iOS", "version": "18.1"})
sentry_sdk.get_isolation_scope().start_session(session_mode="application")


def load_stream(serial):
    secret_token = "sk_live_0123456789abcdef"
    raise ValueError(f"no stream for {serial}, asked by anna@example.com from 203.0.113.7")


with sentry_sdk.start_transaction(op="ui.load", name="LiveView"):
    with sentry_sdk.start_span(op="http.client", name="GET https://api.example.com/v1/streams?token=abcdef0123456789") as span:
        span.set_data("http.response.status_code", 503)
        span.set_data("http.request.method", "GET")
try:
    load_stream("SN0123456789")
except ValueError:
    sentry_sdk.capture_exception()
sentry_sdk.capture_message("something odd for anna@example.com")
sentry_sdk.add_attachment(bytes=bytes(range(256)), filename="dump.bin")
try:
    load_stream("SN0123456789")
except ValueError:
    sentry_sdk.capture_exception()
sentry_sdk.get_isolation_scope().end_session()
sentry_sdk.flush()
