//! What the country table may say: which region a country's data lives in, and who controls it.

use super::event::member;
use super::fault::Faults;
use super::property::sentence;
use super::raw::{self, File};
use crate::{Country, CountryDef, Region, RegionDef};

/// All countries, by code. Entries of a later file add to the table; they may rename a country or change its
/// controller, but not its region: what is stored already would stay behind in the old one, out of reach of an erasure.
pub(super) fn countries(
    files: &[File<raw::Countries>],
    regions: &[RegionDef],
    faults: &mut Faults,
) -> Vec<CountryDef> {
    let mut list: Vec<CountryDef> = Vec::new();
    for file in files {
        let source = &file.source;
        for (code, raw) in &file.body.countries {
            let country = raw.get_ref();
            let parsed =
                Country::parse(code.get_ref()).filter(|c| c.as_str() == code.get_ref() && c.as_str() != "ZZ");
            let Some(parsed) = parsed else {
                let reason = "a country is two capital letters of ISO 3166-1, not `ZZ`";
                faults.at(source, code.span(), reason);
                continue;
            };
            let name = sentence(source, &country.name, faults);
            let Some(region) = member!(Region, source, &country.region, faults) else {
                continue;
            };
            let controller = match &country.controller {
                Some(controller) => sentence(source, controller, faults),
                None => controller_of(regions, region),
            };
            let def = CountryDef { country: parsed, name, region, controller };
            match list.iter_mut().find(|c| c.country == parsed) {
                None => list.push(def),
                Some(old) if old.region == def.region => *old = def,
                Some(old) => {
                    let reason = format!(
                        "the data of {} lives in {}; moving a country between regions needs a migration",
                        code.get_ref(),
                        old.region
                    );
                    faults.at(source, country.region.span(), reason);
                }
            }
        }
    }
    for region in Region::ALL {
        if !list.iter().any(|c| c.region == *region) {
            let reason = format!("region {region} has no country");
            faults.at_file("countries.toml", reason);
        }
    }
    list.sort_by_key(|c| c.country);
    list
}

fn controller_of(regions: &[RegionDef], region: Region) -> String {
    let def = regions.iter().find(|r| r.region == region);
    def.map(|r| r.controller.clone()).unwrap_or_default()
}
