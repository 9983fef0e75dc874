"""Events of segment-analytics-python. Usage: segment_python.py PORT [gzip]"""
import datetime
import sys

import segment.analytics as analytics

analytics.host = f"http://127.0.0.1:{sys.argv[1]}"
analytics.write_key = "key1.secret1"
analytics.gzip = "gzip" in sys.argv
context = {
    "ip": "203.0.113.7",
    "app": {"name": "Camera", "version": "4.2.0"},
    "device": {"id": "B5372DB0-C21E-11E4-8DFC-AA07A5B093DB", "model": "iPhone7,2", "name": "Anna's iPhone"},
    "os": {"name": "iOS", "version": "18.1"},
    "locale": "de-DE",
}
analytics.identify("anna@example.com", {"email": "anna@example.com", "phone": "+49 170 1234567"}, context)
analytics.track("anna@example.com", "click", {"screen": "home", "element": "add_device"}, context,
                timestamp=datetime.datetime.now(datetime.timezone.utc))
analytics.track("anna@example.com", "Order Completed", {"revenue": 19.99, "currency": "EUR", "order_id": "o-1"}, context)
analytics.page("anna@example.com", "Docs", "Home", {"url": "https://example.com/?token=abcdef0123456789"}, context)
analytics.screen("anna@example.com", None, "home", {"duration": 12}, context)
analytics.group("anna@example.com", "group-1", {"name": "Example"}, context)
analytics.alias("anonymous-1", "anna@example.com", context)
analytics.track(anonymous_id="anonymous-2", event="login", properties={"method": "password", "result": "success"}, context=context)
analytics.shutdown()
