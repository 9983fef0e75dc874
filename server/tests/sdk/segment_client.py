"""Drives the real Segment SDK for Python: usage: segment_client.py HOST WRITE_KEY USER MESSAGE_ID_PREFIX"""

import sys

import segment.analytics as analytics

host, write_key, user, prefix = sys.argv[1:5]
failed = []
analytics.host = host
analytics.write_key = write_key
analytics.on_error = lambda error, items: failed.append(str(error))

context = {
    "app": {"name": "camera", "version": "4.2.0"},
    "os": {"name": "iOS", "version": "18.1"},
    "device": {"id": "device-of-" + user, "model": "iPhone16,2", "name": "phone of " + user},
    "ip": "203.0.113.77",
    "location": {"country": "DE"},
}
analytics.identify(user, {"email": user, "phone": "+49 30 901820"}, context=context)
analytics.track(user, "Application Opened", {"from_background": False}, context=context, message_id=prefix + "-1")
analytics.track(user, "click", {"screen": "device_list", "element": "add", "secret": user}, context=context, message_id=prefix + "-2")
analytics.screen(user, None, "device_list", {}, context=context, message_id=prefix + "-3")
# The same message again, as a retry would send it.
analytics.track(user, "click", {"screen": "device_list", "element": "add"}, context=context, message_id=prefix + "-2")
analytics.flush()
analytics.shutdown()
if failed:
    sys.exit("segment: " + "; ".join(failed))
