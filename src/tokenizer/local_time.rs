//! The local time: by `TZ` as in C programs, in a browser by the browser's own zone.

use super::strftime::Moment;

/// Now.
#[cfg(target_arch = "wasm32")]
pub(super) fn now() -> Moment {
    let date = js_sys::Date::new_0();
    let milliseconds = date.get_time();
    Moment {
        year: i64::from(date.get_full_year()),
        month: date.get_month() as usize + 1,
        day: i64::from(date.get_date()),
        hour: i64::from(date.get_hours()),
        minute: i64::from(date.get_minutes()),
        second: i64::from(date.get_seconds()),
        microsecond: i64::from(date.get_milliseconds()) * 1000,
        unix: (milliseconds / 1000.0).floor() as i64,
    }
}

/// Now.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn now() -> Moment {
    at(jiff::Timestamp::now(), &zone(std::env::var("TZ").ok().as_deref()))
}

/// The zone that a value of `TZ` names, as glibc reads it: a file of the zone database, else a rule. What is neither means
/// UTC, and so does an empty one; without it the machine's own zone holds.
#[cfg(not(target_arch = "wasm32"))]
fn zone(tz: Option<&str>) -> jiff::tz::TimeZone {
    use jiff::tz::TimeZone;
    let Some(tz) = tz else { return TimeZone::try_system().unwrap_or(TimeZone::UTC) };
    let name = tz.strip_prefix(':').unwrap_or(tz);
    if let Some(path) = name.strip_prefix("/usr/share/zoneinfo/") {
        return zone(Some(path));
    }
    TimeZone::get(name).or_else(|_| TimeZone::posix(name)).unwrap_or(TimeZone::UTC)
}

#[cfg(not(target_arch = "wasm32"))]
fn at(timestamp: jiff::Timestamp, zone: &jiff::tz::TimeZone) -> Moment {
    let time = zone.to_datetime(timestamp);
    Moment {
        year: i64::from(time.year()),
        month: usize::try_from(time.month()).unwrap_or(1),
        day: i64::from(time.day()),
        hour: i64::from(time.hour()),
        minute: i64::from(time.minute()),
        second: i64::from(time.second()),
        microsecond: i64::from(time.subsec_nanosecond()) / 1000,
        // As C counts it back from the local time: of an hour that comes twice, the first.
        unix: zone.to_timestamp(time).map_or(timestamp.as_second(), jiff::Timestamp::as_second),
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::super::strftime::strftime;
    use super::*;

    fn text(format: &str, unix: i64, tz: &str) -> String {
        strftime(format, &at(jiff::Timestamp::from_second(unix).unwrap(), &zone(Some(tz))))
    }

    /// Each with what Python's strftime gives on glibc.
    #[test]
    fn codes_flags_and_widths() {
        for (format, expected) in [
            ("%c|%x %X|%r|%R", "Wed Jul  2 13:05:09 2025|07/02/25 13:05:09|01:05:09 PM|13:05"),
            ("%-d %B|%e|%_m|%0e|%-I:%M %p", "2 July| 2| 7|02|1:05 PM"),
            ("%^a %#B %#p %P %^c", "WED JULY pm pm WED JUL  2 13:05:09 2025"),
            ("%03d|%5d|%10Y|%_5m|%-5m|%5a|%05p", "002|00002|0000002025|    7|    7|  Wed|000PM"),
            ("%Ey %EY %Od %OH|%Ed %OY", "25 2025 02 13|%Ed %OY"),
            ("%U %W %V %G %g %u %w %j %C %s", "26 26 27 2025 25 3 3 183 20 1751461509"),
            ("%Z|%z|%#Z|%5Z|", "|||     |"),
            ("100%", "100%"),
            ("%5%|%Q|%-Q|%+|%E|%N|%5", "    %|%Q|%-Q|%+|%E|%N|   %5"),
            ("%%Z %%d ü", "%Z %d ü"),
        ] {
            assert_eq!(text(format, 1_751_461_509, "UTC"), expected, "{format}");
        }
    }

    /// Needs what lies beside the repository.
    #[test]
    fn times_of_the_shared_cases() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/cases/strftime.jsonl");
        let Ok(lines) = std::fs::read_to_string(path) else { return println!("skipped: {path} is absent") };
        for line in lines.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let of = |field: &str| case[field].as_str().unwrap();
            assert_eq!(text(of("format"), case["utc"].as_i64().unwrap(), of("tz")), of("text"), "{line}");
        }
    }

    #[test]
    fn zones_by_name_and_by_rule() {
        for (unix, tz, expected) in [
            (1_751_461_509, "Asia/Kathmandu", "2025-07-02 18:50:09"),
            (1_751_461_509, ":Europe/Berlin", "2025-07-02 15:05:09"),
            (1_743_296_399, "Europe/Berlin", "2025-03-30 01:59:59"),
            (1_743_296_400, "Europe/Berlin", "2025-03-30 03:00:00"),
            (1_751_461_509, "EST5EDT,M3.2.0,M11.1.0", "2025-07-02 09:05:09"),
            (1_767_225_600, "XYZ-5:30", "2026-01-01 05:30:00"),
            (1_767_225_600, "", "2026-01-01 00:00:00"),
            (1_767_225_600, "No/Such_Zone", "2026-01-01 00:00:00"),
            (-1, "UTC", "1969-12-31 23:59:59"),
        ] {
            assert_eq!(text("%F %T", unix, tz), expected, "{tz}");
        }
    }

    #[test]
    fn weeks_at_the_turn_of_years() {
        for (unix, expected) in [
            (1_735_603_200, "Tue 52 53 01 2025"),
            (1_704_067_200, "Mon 00 01 01 2024"),
            (1_609_459_200, "Fri 00 00 53 2020"),
            (1_293_840_000, "Sat 00 00 52 2010"),
        ] {
            assert_eq!(text("%a %U %W %V %G", unix, "UTC"), expected);
        }
    }
}
