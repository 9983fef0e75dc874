"""Drives the real Segment and Sentry SDKs as a first try does: no country, no consent. Usage: plain_clients.py HOST WRITE_KEY DSN"""

import sys

import segment.analytics as analytics
import sentry_sdk

host, write_key, dsn = sys.argv[1:4]
failed = []
analytics.host = host
analytics.write_key = write_key
analytics.on_error = lambda error, items: failed.append(str(error))
analytics.track("plain-user", "Application Opened", {})
analytics.screen("plain-user", None, "device_list", {})
analytics.flush()
analytics.shutdown()

sentry_sdk.init(dsn=dsn, release="camera@4.2.0")
try:
    raise ValueError("first try")
except ValueError as error:
    sentry_sdk.capture_exception(error)
sentry_sdk.flush(timeout=10)
sentry_sdk.get_client().close(timeout=10)
if failed:
    sys.exit("segment: " + "; ".join(failed))
