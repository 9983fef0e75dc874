//! The definitions in the binary: every file of `defs/`. A test compares this list with the directory.

macro_rules! embed {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../defs/", $name)))),+]
    };
}

/// Name, relative to `defs/`, and text of each file, in the order of the names.
pub(super) const FILES: &[(&str, &str)] = embed![
    "common.toml",
    "countries.toml",
    "events/alarm_view.toml",
    "events/api_request.toml",
    "events/app_crash.toml",
    "events/app_hang.toml",
    "events/app_open.toml",
    "events/app_start.toml",
    "events/click.toml",
    "events/device_add.toml",
    "events/device_fault.toml",
    "events/device_profile.toml",
    "events/live_view_start.toml",
    "events/login.toml",
    "events/operation.toml",
    "events/page_lag.toml",
    "events/page_load.toml",
    "events/playback_start.toml",
    "events/purchase.toml",
    "events/screen_view.toml",
    "events/session.toml",
    "events/session_start.toml",
    "events/stream_first_frame.toml",
    "programmes/device-experience.toml",
    "programmes/user-experience.toml",
    "regions/de.toml",
    "regions/my.toml",
    "regions/sg.toml",
    "regions/us.toml",
    "retention.toml",
    "vendors/segment.toml",
    "vendors/sentry.toml",
];
