//! Values lose their precision: coordinates, names of operating systems, models, ages.
//!
//! Pure and total: every text is taken, and what cannot be read gives nothing. Not here: an IP address, which has no
//! coarser form that may be kept: it gives a country (`shoal-ingest`, `country.rs`) and is forgotten.

/// A place on a grid of 0.1 degrees, about 11 km, as `52.5,13.4`; none when it is not on Earth.
pub fn coordinates(latitude: f64, longitude: f64) -> Option<String> {
    let on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    on_earth.then(|| {
        let east = tenths(longitude);
        // 180 degrees east and west are the same line.
        let east = if east == 1800 { -1800 } else { east };
        format!("{},{}", decimal(tenths(latitude)), decimal(east))
    })
}

/// A property of the class `location`: a pair of decimal degrees (`52.520008, 13.404954`, also `geo:..`) becomes a place on
/// the grid, a single number is rounded to 0.1; none for any other text, which is not kept.
pub fn location(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("geo:").unwrap_or(text);
    let number = |part: &str| part.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    match text.split_once([',', ';']) {
        Some((latitude, longitude)) => coordinates(number(latitude)?, number(longitude)?),
        None => number(text).filter(|n| n.abs() <= 180.0).map(|n| decimal(tenths(n))),
    }
}

/// Rounded to the nearest tenth; the argument is at most 180 in absolute value.
fn tenths(degrees: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation)]
    let tenths = (degrees * 10.0).round() as i64;
    tenths
}

fn decimal(tenths: i64) -> String {
    let sign = if tenths < 0 { "-" } else { "" };
    format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10)
}

/// What names of operating systems begin with, in small letters, and the value of the column `os`. The first that fits.
const SYSTEMS: &[(&str, &str)] = &[
    ("ios", "ios"),
    ("ipados", "ios"),
    ("iphone", "ios"),
    ("ipad", "ios"),
    ("android", "android"),
    ("fire os", "android"),
    ("fireos", "android"),
    ("macos", "macos"),
    ("mac os", "macos"),
    ("mac_os", "macos"),
    ("osx", "macos"),
    ("os x", "macos"),
    ("darwin", "macos"),
    ("macintosh", "macos"),
    ("windows", "windows"),
    ("win32", "windows"),
    ("win64", "windows"),
    ("microsoft windows", "windows"),
    ("linux", "linux"),
    ("gnu/linux", "linux"),
    ("ubuntu", "linux"),
    ("debian", "linux"),
    ("fedora", "linux"),
    ("centos", "linux"),
    ("alpine", "linux"),
    ("arch", "linux"),
    ("red hat", "linux"),
];

/// The operating system as the registry lists it: `ios`, `android`, `windows`, `macos`, `linux`, `other`; none for an
/// empty text.
pub fn os(name: &str) -> Option<&'static str> {
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    let begins = |with: &str| name.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let listed = SYSTEMS.iter().find(|(with, _)| begins(with)).map(|(_, os)| *os);
    Some(listed.unwrap_or("other"))
}

/// The version at the end of a name, as the `17.5.1` of `iOS 17.5.1`.
pub fn os_version(name: &str) -> Option<&str> {
    let (_, last) = name.trim().rsplit_once(char::is_whitespace)?;
    let is_version = last.starts_with(|c: char| c.is_ascii_digit())
        && last.len() <= 32
        && last.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    is_version.then_some(last)
}

/// Longest model that is kept, in bytes.
const MODEL_BYTES_MAX: usize = 64;

/// A model's name without blanks around it; none when it is empty, longer than 64 bytes or has control characters: then
/// it is no model.
pub fn device_model(text: &str) -> Option<&str> {
    let text = text.trim();
    let is_model = !text.is_empty() && text.len() <= MODEL_BYTES_MAX && !text.chars().any(char::is_control);
    is_model.then_some(text)
}

/// An age in whole years; none when nobody can have it.
pub fn age(years: f64) -> Option<u8> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = (0.0..=130.0).contains(&years).then_some(years.floor() as u8);
    whole
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_fall_on_the_grid() {
        assert_eq!(coordinates(52.520008, 13.404954).unwrap(), "52.5,13.4");
        assert_eq!(coordinates(-33.8688, -151.2593).unwrap(), "-33.9,-151.3");
        assert_eq!(coordinates(-0.04, 0.04).unwrap(), "0.0,0.0");
        assert_eq!(coordinates(-0.3, 179.97).unwrap(), "-0.3,-180.0");
        assert_eq!(coordinates(0.0, -180.0).unwrap(), "0.0,-180.0");
        assert_eq!(coordinates(90.1, 0.0), None);
        assert_eq!(coordinates(0.0, f64::NAN), None);
        assert_eq!(location(" geo:1.352083; 103.819836 ").unwrap(), "1.4,103.8");
        assert_eq!(location("103.819836").unwrap(), "103.8");
        for text in ["", "here", "1,2,3", "inf", "200", "NaN,1", "52.5 N", "1e999"] {
            assert_eq!(location(text), None, "{text}");
        }
    }

    #[test]
    fn systems_have_listed_names() {
        for (name, listed) in [
            ("iOS", "ios"),
            ("iPadOS 17.5", "ios"),
            ("iPhone OS", "ios"),
            (" ANDROID ", "android"),
            ("Mac OS X", "macos"),
            ("Windows NT 10.0", "windows"),
            ("Ubuntu", "linux"),
            ("HarmonyOS", "other"),
            ("日本", "other"),
        ] {
            assert_eq!(os(name), Some(listed), "{name}");
        }
        assert_eq!(os("  "), None);
        assert_eq!(os_version("iOS 17.5.1"), Some("17.5.1"));
        assert_eq!(os_version("Mac OS X"), None);
        assert_eq!(os_version("17.5.1"), None);
    }

    #[test]
    fn models_and_ages() {
        assert_eq!(device_model(" SM-G991B\n"), Some("SM-G991B"));
        assert_eq!(device_model(&"x".repeat(65)), None);
        assert_eq!(device_model("a\nb"), None);
        assert_eq!(age(15.9), Some(15));
        assert_eq!((age(-1.0), age(131.0), age(f64::NAN)), (None, None, None));
    }

    proptest! {
        #[test]
        fn a_place_is_near_and_coarse(latitude in -90.0f64..=90.0, longitude in -180.0f64..=180.0) {
            let place = coordinates(latitude, longitude).unwrap();
            let (a, b) = place.split_once(',').unwrap();
            let (a, b): (f64, f64) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert!((a - latitude).abs() < 0.0501);
            let apart = (b - longitude).abs();
            prop_assert!(!(0.0501..=359.9).contains(&apart));
            // The place of a place is the place itself: nothing finer is left in it.
            prop_assert_eq!(location(&place).unwrap(), place);
        }

        #[test]
        fn any_text_is_taken(text in "\\PC{0,40}") {
            let _ = (location(&text), os(&text), os_version(&text), device_model(&text));
        }
    }
}
