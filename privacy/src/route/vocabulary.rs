//! The words that routes of apps and services are made of, and whether a text is made of them. What is not here may be a value.
//!
//! Invariant: all lists are sorted, and a test sees to it.
//! Not here: how a part of a path is taken apart (`route.rs`).

/// What stands for a value.
pub(super) const PLACEHOLDER: &str = "{}";
/// Words that stand for themselves wherever they are.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "2fa", "3d", "401", "403", "404", "4g", "4k", "500", "5g", "aac", "about", "accept", "access",
    "accessory", "account", "action", "actions", "activate", "activation", "active", "activities",
    "activity", "activityresult", "adapter", "adapters", "add", "adddevice", "address", "admin", "advanced",
    "agreement", "ai", "alarm", "alarms", "album", "albums", "alert", "alerts", "alexa", "all", "analytics",
    "android", "answer", "api", "app", "apple", "application", "apply", "approve", "apps", "archive",
    "area", "areas", "arm", "armed", "article", "articles", "asp", "aspx", "asset", "assets", "assistant",
    "attach", "audio", "audit", "auth", "authenticate", "authorize", "auto", "automation", "avatar", "away",
    "back", "backend", "backup", "badge", "balance", "banner", "base", "base64", "basic", "basket", "batch",
    "battery", "begin", "bell", "best", "beta", "bill", "billing", "bind", "binding", "bindings", "bloc",
    "block", "blog", "body", "book", "bookmark", "boot", "bottom", "bottomsheet", "box", "brand",
    "brightness", "browse", "browser", "bulk", "bundle", "bundles", "button", "buy", "cache", "calendar",
    "call", "calls", "cam", "camera", "cancel", "capability", "capture", "card", "cards", "cart", "catalog",
    "catalogue", "categories", "category", "cell", "cellular", "center", "certificate", "cgi", "change",
    "changelog", "channel", "channels", "chart", "charts", "chat", "check", "checkout", "chime", "choose",
    "claim", "classic", "clean", "clear", "click", "client", "clients", "clip", "clips", "clock", "close",
    "cloud", "code", "codes", "collection", "collections", "color", "colour", "command", "commands",
    "comment", "comments", "commit", "common", "community", "company", "compare", "complete", "component",
    "components", "config", "configuration", "configure", "confirm", "connect", "connection", "connections",
    "connectivity", "consent", "console", "constants", "contact", "content", "contents", "context",
    "control", "controller", "controls", "conversion", "cookie", "cookies", "copy", "core", "count",
    "counter", "country", "coupon", "cover", "crash", "create", "credit", "css", "csv", "cubit", "current",
    "custom", "daily", "dark", "dash", "dashboard", "data", "date", "day", "days", "db", "deal", "deals",
    "debug", "decline", "deep", "default", "delay", "delegate", "delete", "deliver", "delivery", "demo",
    "denied", "deny", "deploy", "description", "desktop", "detail", "details", "detect", "detection", "dev",
    "device", "di", "diagnose", "diagnostic", "diagnostics", "dialog", "diary", "disable", "disarm",
    "disconnect", "discount", "discover", "discovery", "dismiss", "display", "do", "docs", "document",
    "documents", "domain", "dome", "done", "door", "doorbell", "down", "download", "downloads", "draft",
    "drafts", "drawer", "dto", "dual", "duration", "dvr", "edit", "editor", "email", "embed", "empty",
    "enable", "encoding", "end", "engine", "enter", "entities", "entity", "entry", "envelope",
    "environment", "error", "errors", "event", "events", "example", "exchange", "exit", "expand",
    "experience", "explore", "export", "extend", "external", "face", "faces", "factor", "factory", "faq",
    "fault", "favicon", "favorite", "favorites", "favourite", "favourites", "fcgi", "feature", "features",
    "feed", "feedback", "fetch", "file", "files", "filter", "filters", "find", "finish", "firmware",
    "first", "fit", "fixtures", "flow", "flv", "folder", "folders", "follow", "footer", "force", "forgot",
    "form", "format", "forms", "forward", "fragment", "free", "front", "full", "function", "gallery",
    "gate", "gateway", "general", "generate", "geofence", "get", "gif", "gift", "global", "go", "google",
    "graph", "graphql", "grid", "guard", "guards", "guest", "guide", "guides", "h264", "h265", "handler",
    "handlers", "hardware", "header", "health", "heartbeat", "help", "helpers", "hidden", "hikvision",
    "history", "hls", "hold", "home", "homepage", "hooks", "host", "hot", "html", "hub", "i18n", "ico",
    "icon", "icons", "id", "image", "images", "impl", "import", "in", "inbox", "index", "indoor", "info",
    "information", "infrastructure", "init", "initial", "inner", "input", "inputs", "insert", "inside",
    "install", "installation", "integration", "integrations", "intent", "interceptors", "interfaces",
    "interval", "intro", "invalid", "invitation", "invite", "invoice", "invoices", "ios", "ipc", "ipv4",
    "ipv6", "item", "items", "java", "job", "jobs", "join", "jpeg", "jpg", "js", "json", "jsp", "key",
    "keys", "kotlin", "l10n", "label", "lan", "landing", "language", "languages", "last", "latest",
    "launch", "layout", "layouts", "learn", "leave", "legal", "level", "lib", "library", "licence",
    "license", "light", "lights", "like", "likes", "limit", "link", "linkage", "linked", "links", "list",
    "lists", "live", "liveview", "living", "load", "loading", "local", "location", "locations", "lock",
    "lockscreen", "log", "login", "logoff", "logout", "logs", "loop", "low", "m3u8", "main", "maintenance",
    "manage", "manager", "manifest", "manual", "map", "mapper", "mappers", "maps", "market", "marketing",
    "master", "match", "md5", "me", "media", "member", "membership", "memory", "menu", "merge", "message",
    "messages", "meta", "method", "metrics", "mic", "middleware", "migrate", "mine", "mirror", "mobile",
    "mock", "modal", "mode", "model", "models", "modify", "module", "modules", "moment", "monitor", "month",
    "more", "mot", "motion", "move", "movie", "mp3", "mp4", "multi", "music", "mutations", "mute", "my",
    "name", "nas", "nav", "navigation", "near", "nearby", "network", "new", "news", "newsletter", "next",
    "night", "nightvision", "no", "none", "normal", "note", "notes", "notice", "notification",
    "notifications", "notifier", "notify", "null", "number", "nvr", "oauth", "oauth2", "object", "objects",
    "off", "offer", "offers", "offline", "ok", "old", "on", "onboarding", "one", "online", "onvif", "open",
    "option", "options", "or", "order", "other", "out", "outdoor", "outer", "output", "overlay", "overview",
    "own", "p2p", "package", "packages", "page", "pages", "pair", "pairing", "pan", "panel", "parse",
    "parts", "password", "past", "patch", "path", "pause", "pay", "payment", "payments", "pdf", "pending",
    "people", "performance", "permission", "permissions", "phone", "photo", "photos", "php", "picture",
    "pictures", "pin", "ping", "pip", "pir", "plan", "plans", "platform", "play", "playback", "player",
    "playlist", "playlists", "plug", "plus", "png", "point", "points", "policy", "poll", "popup", "port",
    "portal", "position", "post", "poster", "posts", "power", "preference", "preferences", "prefs",
    "premium", "presentation", "presenter", "preset", "presets", "preview", "previous", "price", "prices",
    "pricing", "print", "privacy", "private", "pro", "probe", "product", "products", "profile", "progress",
    "project", "projects", "promo", "prompt", "protect", "protocol", "provider", "providers", "provision",
    "ptz", "public", "publish", "pull", "purchase", "push", "put", "qr", "qrcode", "qualities", "quality",
    "queries", "query", "question", "questions", "queue", "quick", "quiz", "range", "rate", "rates",
    "rating", "read", "reader", "reboot", "receipt", "received", "recent", "recommend", "record",
    "recorder", "recording", "recordings", "records", "recover", "recovery", "recycler", "redeem",
    "redirect", "reducers", "refer", "referral", "refresh", "refund", "region", "register", "registration",
    "reject", "relay", "release", "releases", "reload", "remote", "remove", "rename", "render", "renew",
    "renewal", "repair", "repeat", "replay", "replies", "reply", "report", "reports", "repository",
    "request", "requests", "reset", "resolution", "resolve", "resource", "resources", "response", "restart",
    "restore", "result", "results", "resume", "retry", "return", "review", "reviews", "reward", "rewards",
    "right", "robots", "role", "roles", "root", "rotate", "route", "router", "routes", "routing", "rpc",
    "rss", "rtmp", "rtsp", "rule", "rules", "run", "s3", "safe", "safety", "sagas", "sale", "sales", "save",
    "scan", "scanner", "scene", "scenes", "schedule", "scheduler", "schedules", "schema", "scope", "screen",
    "screens", "screenshot", "script", "scripts", "sd", "sdcard", "search", "section", "sections", "secure",
    "security", "segment", "select", "selection", "selectors", "self", "send", "sensitivity", "sensor",
    "sensors", "server", "service", "services", "session", "set", "setting", "settings", "setup", "sha256",
    "share", "shared", "sharing", "sheet", "shop", "shopping", "short", "show", "shutdown", "sidebar",
    "sign", "signal", "signin", "signout", "signup", "single", "siren", "site", "sitemap", "size", "skip",
    "sleep", "slice", "slices", "slide", "small", "smart", "snapshot", "snapshots", "soap", "social",
    "software", "sort", "sound", "source", "space", "speaker", "spec", "special", "specs", "speed",
    "splash", "spotlight", "src", "stack", "standard", "start", "state", "states", "static", "station",
    "statistics", "stats", "status", "step", "steps", "stop", "storage", "store", "stores", "story",
    "stream", "streaming", "streams", "style", "styles", "submit", "subscribe", "subscription",
    "subscriptions", "success", "suggest", "suggestions", "summary", "support", "survey", "svc", "svg",
    "sw", "switch", "sync", "system", "systems", "tab", "table", "tabs", "tag", "tags", "talk", "target",
    "task", "tasks", "temp", "template", "templates", "temporary", "terms", "test", "tests", "text",
    "theme", "thermal", "thumb", "thumbnail", "thumbnails", "ticket", "tickets", "time", "timeline",
    "timer", "timezone", "tip", "tips", "title", "to", "today", "toggle", "token", "tokens", "tool",
    "toolbar", "tools", "top", "topic", "topics", "total", "track", "tracking", "traffic", "transaction",
    "transactions", "transfer", "transition", "translate", "trial", "trigger", "triggers", "trust", "ts",
    "tutorial", "two", "txt", "type", "types", "ui", "unbind", "uninstall", "unit", "units", "unlink",
    "unlock", "unpair", "unread", "unsubscribe", "up", "update", "updates", "upgrade", "upload", "uploads",
    "url", "usage", "use", "usecase", "usecases", "user", "username", "using", "utf8", "utils", "v4", "v6",
    "validate", "validators", "value", "vc", "verification", "verify", "version", "versions", "video",
    "videos", "view", "viewcontroller", "viewer", "viewmodel", "viewmodels", "views", "vision", "voice",
    "volume", "volumes", "wait", "wake", "wallet", "warning", "warranty", "watch", "watchlist", "wav",
    "weather", "web", "webhook", "webhooks", "webm", "webp", "webrtc", "website", "webview", "week",
    "weekly", "welcome", "whitelist", "whoami", "widget", "widgets", "wifi", "window", "wireless",
    "wishlist", "wizard", "work", "world", "write", "wsdl", "xml", "yes", "zone", "zones", "zoom",
];

/// Names of collections: a part that follows one names one of many, unless it is among the words.
#[rustfmt::skip]
pub(super) const COLLECTIONS: &[&str] = &[
    "account", "accounts", "benutzer", "cam", "camera", "cameras", "cams", "card", "cards", "channel",
    "clip", "clips", "companies", "company", "contact", "contacts", "conversation", "conversations",
    "customer", "customers", "device", "devices", "document", "documents", "email", "emails", "employee",
    "employees", "event", "events", "families", "family", "file", "files", "folder", "folders", "friend",
    "friends", "group", "groups", "guest", "guests", "home", "homes", "host", "hosts", "house", "houses",
    "id", "ids", "imei", "invitation", "invitations", "invite", "invites", "invoice", "invoices", "item",
    "items", "key", "keys", "konto", "kunde", "kunden", "mac", "mail", "member", "members", "message",
    "messages", "name", "names", "nvr", "order", "orders", "org", "organisation", "organisations",
    "organization", "organizations", "orgs", "owner", "owners", "package", "parent", "patient", "patients",
    "payment", "payments", "people", "person", "persons", "phone", "phones", "photo", "photos", "plate",
    "plates", "playlist", "playlists", "post", "posts", "profile", "profiles", "project", "projects",
    "record", "recording", "recordings", "records", "room", "rooms", "search", "sensor", "sensors",
    "serial", "serials", "session", "sessions", "share", "site", "sites", "sn", "ssid", "stream", "streams",
    "subscriber", "subscribers", "subscription", "subscriptions", "tag", "tags", "team", "teams", "tenant",
    "tenants", "ticket", "tickets", "token", "tokens", "transaction", "transactions", "u", "uid", "uids",
    "user", "username", "usernames", "users", "uuid", "verify", "video", "videos", "vin", "workspace",
    "workspaces",
];

/// Words beside which a number of two digits counts something, or says which of a few it is.
#[rustfmt::skip]
pub(super) const COUNTED: &[&str] = &[
    "android", "ansicht", "bildschirm", "channel", "chapter", "day", "days", "fps", "galaxy", "hour",
    "hours", "ios", "iphone", "kanal", "kapitel", "last", "lesson", "level", "mac", "max", "min", "minutes",
    "month", "months", "next", "of", "older", "page", "pages", "part", "percent", "phase", "pixel",
    "question", "round", "s", "schritt", "sec", "seconds", "section", "seite", "slide", "slot", "stage",
    "step", "steps", "tab", "tag", "tage", "teil", "tier", "top", "version", "view", "week", "weeks",
    "windows", "year", "years", "zone",
];

/// Whether a part of a path is made of words that programs use, and nothing else.
pub(crate) fn is_named(part: &str) -> bool {
    let mut any = false;
    let mut word = String::new();
    let mut is_known = |word: &mut String| {
        any |= !word.is_empty();
        let known = word.is_empty() || is_word(word);
        word.clear();
        known
    };
    let mut before = ' ';
    let mut rest = part.chars().peekable();
    while let Some(c) = rest.next() {
        let ends = match c {
            '-' | '_' | '.' | '~' => true,
            // `LiveView` is two words, and so is `RTSPView`.
            'A'..='Z' => before.is_ascii_lowercase() || rest.peek().is_some_and(char::is_ascii_lowercase),
            'a'..='z' | '0'..='9' => false,
            _ => return false,
        };
        if ends && !is_known(&mut word) {
            return false;
        }
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    is_known(&mut word) && any
}

/// A known word, also one that ends in a letter with one digit behind it: `step2`, but not `4010` for the known `401`.
fn is_word(word: &str) -> bool {
    let known = |word: &str| WORDS.binary_search(&word).is_ok() || COLLECTIONS.binary_search(&word).is_ok();
    let counted = |word: &str| word.ends_with(|c: char| c.is_ascii_lowercase()) && known(word);
    known(word) || word.strip_suffix(|c: char| c.is_ascii_digit()).is_some_and(counted)
}

/// `v1`, `v12`, `v1.2`.
pub(super) fn is_version(part: &str) -> bool {
    part.strip_prefix(['v', 'V']).is_some_and(|number| {
        (1..=4).contains(&number.len())
            && number.starts_with(|c: char| c.is_ascii_digit())
            && number.split('.').all(|n| (1..=2).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::{COLLECTIONS, COUNTED, WORDS};

    #[test]
    fn the_lists_are_sorted() {
        for list in [WORDS, COLLECTIONS, COUNTED] {
            assert!(list.is_sorted_by(|a, b| a < b));
            assert!(list.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())));
        }
    }
}
