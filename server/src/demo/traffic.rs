//! One day of a smart-camera app with some 3,000 people and their cameras in all four regions, and the truth about it.
//!
//! Invariant: everything an answer is compared with comes from the same list of events that is sent.
//! Not here: sending (`../demo.rs`), questions (`questions.rs`).

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use shoal_schemas::{Kind, Programme, calendar};

use super::random::Random;

const HOUR_MS: u64 = calendar::HOUR_MS as u64;
pub(super) const PEOPLE: usize = 3_000;

/// Country, region, and how many of a hundred people live there.
const COUNTRIES: [(&str, &str, u64); 9] = [
    ("US", "US", 24),
    ("CA", "US", 6),
    ("DE", "DE", 16),
    ("FR", "DE", 8),
    ("GB", "DE", 8),
    ("SG", "SG", 12),
    ("JP", "SG", 8),
    ("MY", "MY", 18),
    ("CH", "DE", 0),
];
const VERSIONS: [(&str, u64); 2] = [("5.1.0", 60), ("5.2.0", 40)];
const PHONES: [((&str, &str, &str), u64); 3] = [
    (("ios", "19.1", "iPhone17,1"), 45),
    (("android", "16", "Pixel 9"), 30),
    (("android", "15", "SM-S921B"), 25),
];
const FIRMWARE: [(&str, u64); 2] = [("2.4.1", 55), ("2.5.0", 45)];
/// How busy each hour of the day is.
const HOURS: [u64; 24] = [2, 1, 1, 1, 2, 4, 8, 12, 10, 8, 7, 7, 8, 8, 7, 7, 8, 10, 13, 14, 13, 10, 7, 4];
const STEPS: [(&str, f64); 7] = [
    ("start", 0.97),
    ("scan", 0.93),
    ("wifi", 0.85),
    ("connect", 0.92),
    ("bind", 0.97),
    ("name", 0.99),
    ("done", 1.0),
];

/// One event as it was sent, with what questions ask about.
pub(super) struct Event {
    pub(super) kind: Kind,
    pub(super) programme: Programme,
    pub(super) name: &'static str,
    pub(super) person: usize,
    pub(super) region: &'static str,
    pub(super) app_version: &'static str,
    pub(super) firmware: &'static str,
    pub(super) properties: Value,
    pub(super) json: Value,
}

struct Person {
    number: usize,
    country: &'static str,
    region: &'static str,
    app_version: &'static str,
    phone: (&'static str, &'static str, &'static str),
    firmware: &'static str,
    user: String,
    install: String,
    serial: String,
}

/// All events of the day that begins at `day_start_ms`, in no order of time.
pub(super) fn day(seed: u64, day_start_ms: i64) -> Vec<Event> {
    let mut random = Random::seeded(seed);
    let mut day = Day { start_ms: day_start_ms, random: &mut random, events: Vec::new() };
    for number in 0..PEOPLE {
        let person = day.person(number);
        day.live(&person);
    }
    day.events
}

struct Day<'r> {
    start_ms: i64,
    random: &'r mut Random,
    events: Vec<Event>,
}

impl Day<'_> {
    fn person(&mut self, number: usize) -> Person {
        let countries = COUNTRIES.map(|(country, region, weight)| ((country, region), weight));
        let (country, region) = self.random.pick(&countries);
        Person {
            number,
            country,
            region,
            app_version: self.random.pick(&VERSIONS),
            phone: self.random.pick(&PHONES),
            firmware: self.random.pick(&FIRMWARE),
            user: format!("person-{number}@example.com"),
            install: self.random.hex(),
            serial: format!("SN{}", self.random.hex().to_ascii_uppercase()),
        }
    }

    fn live(&mut self, person: &Person) {
        for _ in 0..1 + self.random.below(3) {
            self.session(person);
        }
        if self.random.chance(0.15) {
            let result = if self.random.chance(0.9) { "ok" } else { "failed" };
            let method = self.random.pick(&[("password", 6), ("passkey", 3), ("google", 2)]);
            let at = self.hour();
            self.usage(person, at, "login", json!({"method": method, "result": result, "duration_ms": 900}));
        }
        if self.random.chance(0.6) {
            self.add_camera(person);
        }
        if self.random.chance(if person.app_version == "5.2.0" { 0.20 } else { 0.04 }) {
            self.crash(person);
        }
        if self.random.chance(0.8) {
            let uptime_h = self.random.below(1500);
            let profile = json!({"serial_number": person.serial, "firmware": person.firmware, "uptime_h": uptime_h,
                "device_name": "Front door"});
            self.push(person, Kind::Device, "device_profile", profile, 6 * HOUR_MS);
        }
    }

    fn session(&mut self, person: &Person) {
        let mut at = self.hour();
        let opened = self.random.pick(&[("icon", 6), ("notification", 4), ("widget", 1)]);
        self.usage(person, at, "app_open", json!({"method": opened}));
        let start_ms = self.random.duration_ms(900, 8_000);
        self.push(person, Kind::Performance, "app_start", json!({"duration_ms": start_ms}), at);
        for _ in 0..1 + self.random.below(3) {
            at += 2_000 + self.random.below(20_000);
            let screen = self.random.pick(&[
                ("home", 8),
                ("live", 6),
                ("playback", 3),
                ("alarms", 5),
                ("settings", 2),
            ]);
            let shown_ms = self.random.duration_ms(15_000, 60_000);
            self.usage(person, at, "screen_view", json!({"screen": screen, "duration_ms": shown_ms}));
            let element = self.random.pick(&[("camera_tile", 6), ("alarm_row", 4), ("menu", 1)]);
            self.usage(person, at + 500, "click", json!({"screen": screen, "element": element}));
            self.request(person, at + 100);
        }
        if self.random.chance(0.6) {
            let result = if self.random.chance(0.95) { "ok" } else { "failed" };
            let watched_ms = self.random.duration_ms(40_000, 300_000);
            self.usage(person, at, "live_view_start", json!({"result": result, "duration_ms": watched_ms}));
            let first_ms = self.random.duration_ms(700, 6_000);
            self.push(person, Kind::Performance, "stream_first_frame", json!({"duration_ms": first_ms}), at);
        }
        if opened == "notification" {
            self.usage(
                person,
                at,
                "alarm_view",
                json!({"method": "notification", "result": "ok", "duration_ms": 1_100}),
            );
        }
    }

    /// The release 5.2.0 made one endpoint slow: a thing for an analyst to find.
    fn request(&mut self, person: &Person, at: u64) {
        let (endpoint, typical_ms) = self.random.pick(&[
            (("/v1/cameras", 120), 5),
            (("/v1/cameras/{id}/live", 260), 4),
            (("/v1/alarms", 150), 4),
        ]);
        let is_slow = person.app_version == "5.2.0" && endpoint.ends_with("/live");
        let duration_ms = self.random.duration_ms(if is_slow { typical_ms * 3 } else { typical_ms }, 3_000);
        let status = if self.random.chance(0.02) { 503 } else { 200 };
        let request = json!({"endpoint": endpoint, "duration_ms": duration_ms, "status_code": status});
        self.push(person, Kind::Performance, "api_request", request, at);
    }

    fn add_camera(&mut self, person: &Person) {
        let mut at = self.hour();
        for (step, passes) in STEPS {
            let is_ok = self.random.chance(passes);
            let took_ms = self.random.duration_ms(8_000, 60_000);
            at += took_ms;
            let result = if is_ok { "ok" } else { "failed" };
            self.usage(
                person,
                at,
                "device_add",
                json!({"step": step, "result": result, "method": "qr", "duration_ms": took_ms}),
            );
            if !is_ok {
                return;
            }
        }
    }

    fn crash(&mut self, person: &Person) {
        let at = self.hour();
        let crash = json!({"exception_type": "NullPointerException", "foreground": true, "screen": "live",
            "message": format!("player of {} was null", person.user),
            "frames": [{"module": "com.example.player", "function": "start", "file": "Player.kt", "line": 88},
                {"module": "com.example.live", "function": "onResume", "file": "LiveView.kt", "line": 41}]});
        self.push(person, Kind::Crash, "app_crash", crash, at);
    }

    fn usage(&mut self, person: &Person, at: u64, name: &'static str, properties: Value) {
        self.push(person, Kind::Usage, name, properties, at);
    }

    fn push(&mut self, person: &Person, kind: Kind, name: &'static str, properties: Value, after_ms: u64) {
        let time_ms = self.start_ms + i64::try_from(after_ms.min(24 * HOUR_MS - 1)).unwrap_or(0);
        let time = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
        let mut json = json!({"id": self.random.hex(), "event": name, "country": person.country,
            "time": time.to_rfc3339_opts(SecondsFormat::Millis, true), "properties": properties});
        let programme = if kind == Kind::Device {
            json["context"] = json!({"device_model": "CAM-3"});
            Programme::DeviceExperience
        } else {
            json["user_id"] = json!(person.user);
            json["install_id"] = json!(person.install);
            let (os, os_version, model) = person.phone;
            json["context"] = json!({"app_version": person.app_version, "os": os, "os_version": os_version,
                "device_model": model});
            Programme::UserExperience
        };
        self.events.push(Event {
            kind,
            programme,
            name,
            person: person.number,
            region: person.region,
            app_version: person.app_version,
            firmware: person.firmware,
            properties,
            json,
        });
    }

    /// A moment of the day, ms after its start, at least a quarter of an hour before its end.
    fn hour(&mut self) -> u64 {
        let mut hours = [(0, 0); 24];
        for (hour, weight) in HOURS.into_iter().enumerate() {
            hours[hour] = (hour as u64, weight);
        }
        self.random.pick(&hours) * HOUR_MS + self.random.below(HOUR_MS * 3 / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_day_within_its_bounds() {
        let (a, b) = (day(7, 0), day(7, 0));
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(&b).all(|(a, b)| a.json == b.json));
        assert!(a.len() > 20 * PEOPLE / 2, "{} events", a.len());
        assert!(a.iter().all(|e| e.json["time"].as_str().is_some_and(|t| t.starts_with("1970-01-01"))));
        for region in ["US", "DE", "SG", "MY"] {
            assert!(a.iter().filter(|e| e.region == region).count() > 3_000, "{region}");
        }
        assert_ne!(day(8, 0)[0].json, a[0].json);
    }
}
