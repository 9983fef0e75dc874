//! What the files of programmes, regions and retention may say.

use super::definitions::RetentionDays;
use super::event::member;
use super::fault::Faults;
use super::property::{sentence, within};
use super::raw::{self, File};
use super::source::Source;
use crate::{Kind, Programme, ProgrammeDef, Region, RegionDef};

/// Longest retention, in days: ten years.
const DAYS_MAX: i64 = 3_653;

/// All programmes, in the order of [`Programme::ALL`].
pub(super) fn programmes(files: &[File<raw::Programme>], faults: &mut Faults) -> Vec<ProgrammeDef> {
    let mut slots: Vec<Option<ProgrammeDef>> = vec![None; Programme::ALL.len()];
    for file in files {
        let (source, raw) = (&file.source, &file.body);
        let versions = versions(source, raw, faults);
        let age_min = within(source, &raw.age_min, 16..=99, "age_min", faults);
        let purpose = sentence(source, &raw.purpose, faults);
        let Some(programme) = member!(Programme, source, &raw.programme, faults) else {
            continue;
        };
        if source.stem() != programme.as_str() {
            let reason = format!("programme `{programme}` belongs in programmes/{programme}.toml");
            faults.at(source, raw.programme.span(), reason);
        }
        slots[programme.index()] = Some(ProgrammeDef {
            programme,
            purpose,
            policy_versions: versions,
            age_min: u8::try_from(age_min).unwrap_or(u8::MAX),
        });
    }
    for programme in Programme::ALL {
        if slots[programme.index()].is_none() {
            faults.at_file(&format!("programmes/{programme}.toml"), "is missing");
        }
    }
    slots.into_iter().flatten().collect()
}

/// The accepted policy versions: some, each once, each short and printable.
fn versions(source: &Source, raw: &raw::Programme, faults: &mut Faults) -> Vec<String> {
    let list = raw.policy_versions.get_ref();
    if list.is_empty() {
        let reason = "no policy version is accepted, so every event would be withheld";
        faults.at(source, raw.policy_versions.span(), reason);
    }
    let mut out: Vec<String> = Vec::new();
    for version in list {
        let text = version.get_ref();
        if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            let reason = "a policy version is 1 to 64 printable ASCII characters";
            faults.at(source, version.span(), reason);
        } else if out.contains(text) {
            faults.at(source, version.span(), format!("version `{text}` is listed twice"));
        }
        out.push(text.clone());
    }
    out
}

/// All regions, in the order of [`Region::ALL`].
pub(super) fn regions(files: &[File<raw::Region>], faults: &mut Faults) -> Vec<RegionDef> {
    let mut slots: Vec<Option<RegionDef>> = vec![None; Region::ALL.len()];
    for file in files {
        let (source, raw) = (&file.source, &file.body);
        let name = sentence(source, &raw.name, faults);
        let controller = sentence(source, &raw.controller, faults);
        let Some(region) = member!(Region, source, &raw.region, faults) else {
            continue;
        };
        if source.stem() != region.as_str().to_ascii_lowercase() {
            let folder = region.as_str().to_ascii_lowercase();
            let reason = format!("region `{region}` belongs in regions/{folder}.toml");
            faults.at(source, raw.region.span(), reason);
        }
        slots[region.index()] = Some(RegionDef { region, name, controller });
    }
    for region in Region::ALL {
        if slots[region.index()].is_none() {
            let file = region.as_str().to_ascii_lowercase();
            faults.at_file(&format!("regions/{file}.toml"), "is missing");
        }
    }
    slots.into_iter().flatten().collect()
}

/// Every period; a later file's entries win, within one file each pair stands once.
pub(super) fn retention(files: &[File<raw::RetentionList>], faults: &mut Faults) -> RetentionDays {
    let mut days: RetentionDays = Default::default();
    for file in files {
        let mut seen: Vec<(Programme, Kind)> = Vec::new();
        for entry in &file.body.retention {
            let (source, raw) = (&file.source, entry.get_ref());
            let kept = within(source, &raw.days, 1..=DAYS_MAX, "days", faults);
            let programme = member!(Programme, source, &raw.programme, faults);
            let kind = member!(Kind, source, &raw.kind, faults);
            let (Some(programme), Some(kind)) = (programme, kind) else {
                continue;
            };
            if seen.contains(&(programme, kind)) {
                let reason = format!("the retention of {kind} in {programme} is given twice");
                faults.at(source, entry.span(), reason);
            }
            seen.push((programme, kind));
            days[programme.index()][kind.index()] = u32::try_from(kept).unwrap_or(1);
        }
    }
    for programme in Programme::ALL {
        for kind in Kind::ALL {
            if days[programme.index()][kind.index()] == 0 {
                let reason = format!("the retention of {kind} in {programme} is missing");
                faults.at_file("retention.toml", reason);
            }
        }
    }
    days
}
