//! A key of listed values that is compared with another text is refused wherever it is compared.

use shoal_schemas::Region;

use super::{now_ms, registry};
use crate::error::{LanguageError, Refusal};
use crate::question::ask;

fn asked(sql: &str) -> Result<(), Refusal> {
    match ask(sql, &registry(), Region::ALL, now_ms()) {
        Ok(_) => Ok(()),
        Err(LanguageError::Refused(refusal)) => Err(*refusal),
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// The same conditions with a value that is listed, and with one that is not.
#[test]
fn a_key_is_compared_with_listed_values_only() {
    for sql in [
        "SELECT result, COUNT(*) AS n FROM usage GROUP BY result HAVING result = '{}'",
        "SELECT result AS r, COUNT(*) AS n FROM usage GROUP BY result HAVING '{}' <> r",
        "SELECT result, COUNT(*) AS n FROM usage GROUP BY result HAVING COUNT(*) > 9 AND NOT (result IN ('failed', '{}'))",
        "SELECT CASE result WHEN '{}' THEN 'good' ELSE 'bad' END AS word, COUNT(*) FROM usage GROUP BY result",
        "SELECT CASE WHEN result = '{}' THEN 'good' ELSE 'bad' END AS word, COUNT(*) FROM usage GROUP BY result",
        "SELECT lower(result) AS r, COUNT(*) FROM usage GROUP BY 1 HAVING lower(result) = '{}'",
        "SELECT result, COUNT(*) FROM usage GROUP BY result HAVING result IS DISTINCT FROM '{}'",
        "SELECT COUNT(*) FROM (SELECT subject, result, COUNT(*) AS n FROM usage GROUP BY subject, result) AS p WHERE result = '{}'",
        "SELECT COUNT(*) FROM (SELECT subject, result AS r FROM usage GROUP BY subject, result HAVING result = '{}') AS p",
        "SELECT AVG(n) FROM (SELECT subject, upper(result) AS r, COUNT(*) AS n FROM usage GROUP BY 1, 2) AS p WHERE lower(r) <> '{}'",
        "SELECT r, COUNT(*) FILTER (WHERE r = '{}') FROM (SELECT subject, result AS r FROM usage GROUP BY 1, 2) AS p GROUP BY r",
        "SELECT COUNT(*) FILTER (WHERE result = '{}') FROM usage",
    ] {
        assert_eq!(asked(&sql.replace("{}", "ok")), Ok(()), "{sql}");
        let refusal = asked(&sql.replace("{}", "okk")).expect_err(sql);
        assert_eq!(refusal.rule.as_str(), "literal", "{sql}: {refusal}");
        assert!(refusal.message.contains("never has this value. Its values are 'ok', "), "{sql}: {refusal}");
        assert!(!refusal.message.contains("okk"), "{sql}");
    }
}

#[test]
fn what_is_not_listed_is_compared_with_anything() {
    for sql in [
        "SELECT app_version, COUNT(*) FROM usage GROUP BY app_version HAVING app_version = '4.1'",
        "SELECT os, COUNT(*) FROM usage GROUP BY os HAVING os LIKE 'i%'",
        "SELECT NULLIF(os, '') AS os, COUNT(*) FROM usage GROUP BY 1",
        "SELECT os, (SELECT COUNT(*) FROM crash WHERE app_version = 'ios') AS n FROM usage GROUP BY os HAVING COUNT(*) > 1",
        "SELECT COUNT(*) FROM (SELECT subject, app_version AS v FROM usage GROUP BY 1, 2) AS p WHERE v = '4.1'",
    ] {
        assert_eq!(asked(sql), Ok(()), "{sql}");
    }
}
