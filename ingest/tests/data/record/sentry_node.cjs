// A crash, a transaction or spans, and a session of @sentry/node. Usage: node sentry_node.cjs PORT
const Sentry = require("@sentry/node");

Sentry.init({
  dsn: `http://key1@127.0.0.1:${process.argv[2]}/42`, release: "camera@4.2.0", environment: "production",
  tracesSampleRate: 1.0, sendDefaultPii: true, serverName: "phone",
});
Sentry.setUser({ id: "user-1", email: "anna@example.com", ip_address: "203.0.113.7" });
Sentry.startSession();

function loadStream(serial) {
  throw new TypeError(`no stream for ${serial}, asked by anna@example.com from 203.0.113.7`);
}

(async () => {
  await Sentry.startSpan({ op: "ui.load", name: "LiveView" }, async () => {
    await Sentry.startSpan({ op: "http.client", name: "GET https://api.example.com/v1/streams", attributes: { "http.response.status_code": 503, "http.request.method": "GET" } }, async () => {});
  });
  try {
    loadStream("SN0123456789");
  } catch (error) {
    Sentry.captureException(error);
  }
  Sentry.endSession();
  await Sentry.flush(3000);
  process.exit(0);
})();
