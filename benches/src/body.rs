//! Distinct request bodies, made quickly: each event is one template, filled in from a counter and a small generator.
//!
//! No two events share an id, and values vary as they do in real traffic. An event is about 460 bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use shoal_schemas::calendar::DAY_MS;

/// Fills templates. One a connection; `lane` keeps the ids of connections apart.
pub struct Bodies {
    lane: u64,
    count: u64,
    state: u64,
    subjects: u64,
    countries: Vec<String>,
    run: u64,
}

impl Bodies {
    /// A generator; `lane` tells it from others of the same run.
    pub fn new(lane: u64, subjects: u64, countries: Vec<String>) -> Bodies {
        let run = now_ms();
        Bodies {
            lane,
            count: 0,
            state: lane.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ run,
            subjects,
            countries,
            run,
        }
    }

    /// xorshift64*: enough to vary values.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Replaces the content of `out` with a batch of `events` events.
    pub fn fill(&mut self, events: usize, out: &mut Vec<u8>) {
        out.clear();
        let now = now_ms();
        out.extend_from_slice(
            format!("{{\"sent_at\":{now},\"consent\":{{\"policy_version\":\"2026-1\",\"granted_at\":{}}},\"events\":[", now - DAY_MS.unsigned_abs())
                .as_bytes(),
        );
        for at in 0..events {
            if at > 0 {
                out.push(b',');
            }
            self.event(now, out);
        }
        out.extend_from_slice(b"]}");
    }

    fn event(&mut self, now: u64, out: &mut Vec<u8>) {
        use std::io::Write as _;
        self.count += 1;
        let (pick, roll) = (self.next(), self.next());
        let subject = self.next() % self.subjects;
        let country = &self.countries[(subject % self.countries.len() as u64) as usize];
        let at = now - pick % 60_000;
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            concat!(
                "{{\"id\":\"{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}\",\"event\":\"{}\",\"time\":{},\"user_id\":\"user-{:010}@example.com\",",
                "\"install_id\":\"5f0c1d2e-7a3b-4c4d-9e5f-{:012x}\",\"session_id\":\"s-{:016x}\",\"country\":\"{}\",",
                "\"context\":{{\"app_version\":\"4.{}.{}\",\"os\":\"{}\",\"os_version\":\"{}\",\"device_model\":\"{}\",\"locale\":\"en-GB\",\"ip\":\"198.51.100.{}\"}},",
                "\"properties\":{}}}"
            ),
            self.run & 0xffff_ffff,
            self.lane & 0xffff,
            (self.count >> 40) & 0xfff,
            self.lane & 0xfff,
            self.count & 0xff_ffff_ffff,
            EVENTS[(pick % EVENTS.len() as u64) as usize].0,
            at,
            subject,
            subject,
            subject << 8 | (pick & 3),
            country,
            pick % 7,
            pick % 12,
            ["ios", "android"][(subject % 2) as usize],
            12 + subject % 6,
            ["iPhone16,2", "SM-G991B", "Pixel 8", "CAM-PRO-2"][(subject % 4) as usize],
            1 + subject % 250,
            Properties { which: (pick % EVENTS.len() as u64) as usize, roll },
        );
    }
}

/// Writes the properties of an event with values that vary with the number.
type Write = fn(u64, &mut std::fmt::Formatter<'_>) -> std::fmt::Result;

/// Events and the shape of their properties, in the mix of a camera app.
const EVENTS: [(&str, Write); 5] = [
    ("click", |r, f| {
        write!(
            f,
            "{{\"screen\":\"device_list\",\"element\":\"button_{}\",\"duration_ms\":{},\"note\":\"not declared and so never kept\"}}",
            r % 20,
            r % 900
        )
    }),
    ("screen_view", |r, f| {
        write!(
            f,
            "{{\"screen\":\"{}\",\"duration_ms\":{},\"referrer\":\"home_tab_from_push_notification\"}}",
            ["home", "device_list", "settings", "live"][(r % 4) as usize],
            100 + r % 9000
        )
    }),
    ("api_request", |r, f| {
        write!(
            f,
            "{{\"endpoint\":\"/v2/devices/list\",\"duration_ms\":{},\"status_code\":{},\"error_code\":\"E{:03}\"}}",
            20 + r % 800,
            [200, 200, 200, 404, 500][(r % 5) as usize],
            r % 40
        )
    }),
    ("page_load", |r, f| {
        write!(
            f,
            "{{\"screen\":\"alarm_list\",\"duration_ms\":{},\"variant\":\"redesign-2026-b\"}}",
            80 + r % 2500
        )
    }),
    ("live_view_start", |r, f| {
        write!(
            f,
            "{{\"screen\":\"live\",\"method\":\"p2p\",\"result\":\"{}\",\"duration_ms\":{}}}",
            ["ok", "ok", "ok", "failed"][(r % 4) as usize],
            300 + r % 4000
        )
    }),
];

struct Properties {
    which: usize,
    roll: u64,
}

impl std::fmt::Display for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (EVENTS[self.which].1)(self.roll >> 8, f)
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn events_are_distinct_json_of_the_stated_size() {
        let mut body = Vec::new();
        let mut ids = HashSet::new();
        for lane in 0..3 {
            let mut bodies = Bodies::new(lane, 1000, vec!["DE".into(), "US".into()]);
            for _ in 0..5 {
                bodies.fill(100, &mut body);
                let parsed: serde_json::Value = serde_json::from_slice(&body).expect("valid JSON");
                for event in parsed["events"].as_array().expect("events") {
                    assert!(ids.insert(event["id"].to_string()), "an id twice");
                }
                let each = body.len() / 100;
                assert!((440..640).contains(&each), "{each} bytes an event");
            }
        }
        assert_eq!(ids.len(), 1500);
    }
}
