//! `POST /v1/consents/query`: what is in force of somebody's consent, for an app's switch. For servers of apps and account services: a key that
//! ships in apps may not learn what is recorded of anybody.
//!
//! Not here: what is in force (`shoal_privacy::consent`), consents that are given and withdrawn (`consents.rs`).

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use shoal_ingest::{ConsentTold, Person, RefusalCode};
use shoal_schemas::{Country, Programme, Region, Registry};
use utoipa::ToSchema;

use crate::http::auth::{self, ForConsents, Presented};
use crate::http::described::{RegionWord, rights::ConsentInForce};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::state::State;
use crate::subjects::{Named, Values};

refusals!(
    /// Why it is not told what is in force.
    Query, Native: refusals::KEY, refusals::BODY,
        &[ProblemType::BadRequest, ProblemType::NotAllowed, ProblemType::Ingest(RefusalCode::Unavailable)]
);

/// Whose consent, and where it is. No `Debug`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    user_id: Option<Values>,
    install_id: Option<Values>,
    device_id: Option<Values>,
    serial_number: Option<Values>,
    country: Option<String>,
    region: Option<String>,
}

/// A person, and where their consent is: one identifier at least is there, and a country or a region.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsentQuery)]
pub(super) struct AskedConsent {
    #[schema(required = false)]
    user_id: Vec<String>,
    #[schema(required = false)]
    install_id: Vec<String>,
    #[schema(required = false)]
    device_id: Vec<String>,
    #[schema(required = false)]
    serial_number: Vec<String>,
    /// ISO 3166-1, two letters
    #[schema(required = false, example = "DE")]
    country: String,
    #[schema(required = false, value_type = RegionWord)]
    region: String,
}

/// What is in force in a region.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsentsInForce)]
struct AllTold {
    #[schema(value_type = RegionWord)]
    region: Region,
    #[schema(value_type = Vec<ConsentInForce>)]
    consents: Vec<ConsentTold>,
}

/// Tells what is in force of somebody's consent.
#[utoipa::path(post, path = "/v1/consents/query", tag = "rights", summary = "What is in force of a person's consent",
    operation_id = "query_consents",
    description = "For the switch of an app: a server of the app asks, or its account service; keys that ship in apps are refused. By all of the \
        identifiers together, as events that have them are decided about. Consent that comes with events is not recorded, and is not told.",
    request_body(content = AskedConsent, example = json!({"user_id": "u-1", "country": "DE"})),
    responses((status = 200, description = "Of each programme that the key is for", body = AllTold), Query),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn query(http: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let told = async {
        let asker = auth::for_consents(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        let asked: Asked = serde_json::from_slice(&body).map_err(|_| {
            bad("the body must be as {\"user_id\": \"u-1\", \"country\": \"DE\"}: identifiers of one person, and a country or a region")
        })?;
        let region = asked.region_of(&state.definitions.current(), &asker)?;
        let person = asked.person()?;
        let programmes: Vec<Programme> = match asker.programme {
            Some(programme) => vec![programme],
            None => Programme::ALL.to_vec(),
        };
        let consents = state.ingest.consents_of(&person, &programmes, region).await?;
        Ok::<_, Problem>(AllTold { region, consents })
    };
    match told.await {
        Ok(told) => HttpResponse::Ok().json(told),
        Err(problem) => problem.response(),
    }
}

fn bad(reason: &str) -> Problem {
    Problem::new(ProblemType::BadRequest, reason)
}

impl Asked {
    fn region_of(&self, registry: &Registry, asker: &ForConsents) -> Result<Region, Problem> {
        let region = match (&self.region, &self.country) {
            (Some(region), None) => Region::parse(region),
            (None, Some(country)) => Country::parse(country).and_then(|country| registry.region_of(country)),
            _ => None,
        };
        let reason = "one of `country`, as two letters, and `region`, which is US, DE, SG or MY, must say where the person's data are";
        let region = region.ok_or_else(|| bad(reason))?;
        match asker.regions.contains(&region) {
            true => Ok(region),
            false => Err(Problem::new(ProblemType::NotAllowed, "the key does not reach this region")),
        }
    }

    fn person(self) -> Result<Person, Problem> {
        let Asked { user_id, install_id, device_id, serial_number, .. } = self;
        Person::new(Named { user_id, install_id, device_id, serial_number }.listed()).map_err(bad)
    }
}
