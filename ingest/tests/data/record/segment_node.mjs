// Events of @segment/analytics-node. Usage: node segment_node.mjs PORT
import { Analytics } from "@segment/analytics-node";

const analytics = new Analytics({ writeKey: "key1.secret1", host: `http://127.0.0.1:${process.argv[2]}`, path: "/v1/batch" });
const context = {
  ip: "203.0.113.7",
  app: { name: "Camera", version: "4.2.0" },
  device: { id: "B5372DB0-C21E-11E4-8DFC-AA07A5B093DB", model: "SM-G991B" },
  os: { name: "Android", version: "15" },
};
const userId = "anna@example.com";
analytics.identify({ userId, traits: { email: userId }, context });
analytics.track({ userId, event: "click", properties: { screen: "home", element: "add_device" }, context });
analytics.track({ anonymousId: "anonymous-2", event: "login", properties: { method: "password", result: "success" }, context });
analytics.page({ userId, name: "Home", properties: { url: "https://example.com/?token=abcdef0123456789" }, context });
analytics.screen({ userId, name: "home", properties: {}, context });
analytics.group({ userId, groupId: "group-1", context });
analytics.alias({ userId, previousId: "anonymous-1", context });
await analytics.closeAndFlush();
