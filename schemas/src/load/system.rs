//! The columns that every table has, whatever its events declare.
//!
//! Not here: their names (`table`), the columns of declared properties (`table_columns`).

use std::collections::BTreeMap;

use crate::{ColumnDef, ColumnRole, ColumnType, Domain, Programme, columns};

/// The roles of the system columns that an analyst may group by, by name.
pub(crate) type CommonRoles = BTreeMap<String, (String, ColumnRole)>;

/// The system columns before the declared ones. `events` are the names of the table's events.
pub(super) fn system_columns(common: &CommonRoles, events: Vec<String>) -> Vec<ColumnDef> {
    use ColumnType::{Digest, Integer, Text, Time};
    let hidden = ColumnRole::Hidden;
    let programmes = Programme::ALL.iter().map(|p| p.as_str().to_owned());
    let programme = ColumnRole::Dimension {
        domain: Domain::Listed(programmes.collect()),
        keys_max: 1, // a pseudonym belongs to one programme
    };
    let unit = ColumnRole::Unit;
    vec![
        column(columns::EVENT_ID, "Keyed digest of the event id.", Digest, hidden.clone(), false),
        column(
            columns::SUBJECT,
            "The pseudonym: inside COUNT(DISTINCT subject) only.",
            Digest,
            unit.clone(),
            false,
        ),
        column(
            columns::SESSION,
            "Keyed digest of the session: inside COUNT(DISTINCT session) only.",
            Digest,
            unit,
            true,
        ),
        column(columns::TIME, "When it happened, UTC; an hour or coarser.", Time, ColumnRole::Time, false),
        event_column(common, events),
        common_column(common, columns::COUNTRY, false),
        column(columns::PROGRAMME, "The programme that the subject opted into.", Text, programme, false),
        common_column(common, columns::APP, true),
        common_column(common, columns::APP_VERSION, true),
        common_column(common, columns::OS, true),
        common_column(common, columns::OS_VERSION, true),
        common_column(common, columns::DEVICE_MODEL, true),
        column(
            columns::CONSENT,
            "How consent reached the gate: carried, recorded or asserted.",
            Text,
            hidden.clone(),
            false,
        ),
        column(columns::EPOCH, "Number of the pseudonym's epoch.", Integer, hidden, false),
    ]
}

/// The partition column.
pub(super) fn day_column() -> ColumnDef {
    column(columns::DAY, "UTC day of `time`.", ColumnType::Day, ColumnRole::Time, false)
}

fn column(name: &str, doc: &str, ty: ColumnType, role: ColumnRole, nullable: bool) -> ColumnDef {
    ColumnDef { name: name.to_owned(), doc: doc.to_owned(), ty, role, nullable }
}

/// A column of `common.toml`. One that is missing there has been reported; hidden is the safe stand-in.
fn common_column(common: &CommonRoles, name: &str, nullable: bool) -> ColumnDef {
    let (doc, role) = match common.get(name) {
        Some((doc, role)) => (doc.as_str(), role.clone()),
        None => ("", ColumnRole::Hidden),
    };
    column(name, doc, ColumnType::Text, role, nullable)
}

/// `event`: listed, its values are the table's events; a subject has no more keys than there are events.
fn event_column(common: &CommonRoles, events: Vec<String>) -> ColumnDef {
    let mut def = common_column(common, columns::EVENT, false);
    if let ColumnRole::Dimension { domain, keys_max } = &mut def.role {
        *keys_max = (*keys_max).min(u32::try_from(events.len()).unwrap_or(u32::MAX));
        *domain = Domain::Listed(events);
    }
    def
}
