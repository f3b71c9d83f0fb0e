//! Models: register, list, show.

use axum::Json;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::changes::{change, changed};
use super::problem::{FINDING, Kind::Refused, WRITING};
use super::transforms::status;
use super::{Path, Problem, Shared, blocking, body};
use crate::access::Change;
use crate::error::Error;
use crate::model::parity::{Report, Vectors};
use crate::model::{self, Facts, Manifest};
use crate::registry::{Catalog, Item, Kind, ModelEntry, Retirement};

#[derive(Serialize, ToSchema)]
pub struct ModelShown {
    name: String,
    version: u32,
    digest: String,
    registered_at: Timestamp,
    #[schema(required)]
    retired: Option<Retirement>,
    facts: Facts,
    /// What its test vectors showed, if it came with any.
    #[schema(required)]
    parity: Option<Report>,
    manifest: Manifest,
}

#[derive(Serialize, ToSchema)]
pub struct ModelListed {
    name: String,
    version: u32,
    digest: String,
    description: String,
    registered_at: Timestamp,
    retired: bool,
}

#[derive(Serialize, ToSchema)]
pub struct ModelList {
    models: Vec<ModelListed>,
}

/// The parts of a form that registers a model.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says what `parts` reads")]
struct ModelForm {
    /// The `.onnx` file.
    #[schema(value_type = Vec<u8>)]
    model: Bytes,
    manifest: Manifest,
    vectors: Option<Vectors>,
}

/// Registers a model, or its next version.
///
/// The body is `multipart/form-data` with the parts `model`, `manifest` and, if there are test vectors, `vectors`; or the
/// `.onnx` file alone, which then carries its manifest in its metadata under `tidemill.manifest`.
#[utoipa::path(
    post,
    path = "/v1/models",
    operation_id = "register_model",
    tag = "models",
    request_body(content((ModelForm = "multipart/form-data"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 201, description = "Registered.", body = ModelShown), (status = 200, description = "It was there already.", body = ModelShown)),
    extensions(("x-problems" = json!([Refused, WRITING]))),
)]
pub async fn register(State(shared): State<Shared>, request: Request) -> Response {
    let mut change = change("model.register", "");
    let outcome = admitted(shared, request, &mut change).await;
    changed(change, outcome)
}

async fn admitted(
    shared: Shared,
    request: Request,
    change: &mut Change,
) -> Result<(StatusCode, Json<ModelShown>), Problem> {
    let limit = shared.app.config.server.upload_limit;
    let (onnx, manifest, vectors) = match body::content_type(request.headers()) {
        "multipart/form-data" => parts(request, limit).await?,
        _ => {
            let onnx = body::read(request.into_body(), limit).await?;
            let manifest = model::embedded_manifest(&onnx)?;
            (onnx, manifest, None)
        }
    };
    change.subject = manifest.name.clone();
    let app = shared.app.clone();
    let register = move || {
        app.registry
            .register_model(&onnx, manifest, vectors.as_ref())
    };
    let (entry, outcome) = blocking(register).await?;
    change.subject = entry.id();
    change.digest = Some(entry.record.digest.clone());
    let catalog = shared.app.registry.catalog();
    Ok((status(outcome), Json(shown(&catalog, &entry))))
}

/// All models.
#[utoipa::path(
    get,
    path = "/v1/models",
    operation_id = "list_models",
    tag = "models",
    responses((status = 200, description = "By name and number.", body = ModelList)),
)]
pub async fn list(State(shared): State<Shared>) -> Json<ModelList> {
    let catalog = shared.app.registry.catalog();
    let all = catalog.models.values().flat_map(|all| all.values());
    let models = all.map(|entry| ModelListed {
        name: entry.record.manifest.name.clone(),
        version: entry.record.number,
        digest: format!("sha256:{}", entry.record.digest),
        description: entry.record.manifest.description.clone(),
        registered_at: entry.record.registered_at,
        retired: retirement(&catalog, entry).is_some(),
    });
    Json(ModelList {
        models: models.collect(),
    })
}

/// A version of a model.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    operation_id = "show_model",
    tag = "models",
    params(("id" = String, Path, description = "`name@number`, or `name` for the newest.")),
    responses((status = 200, description = "The version.", body = ModelShown)),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<ModelShown>, Problem> {
    let catalog = shared.app.registry.catalog();
    Ok(Json(shown(&catalog, catalog.model_by_id(&id)?)))
}

async fn parts(
    request: Request,
    limit: usize,
) -> Result<(Bytes, Manifest, Option<Vectors>), Problem> {
    let broken = |error: axum::extract::multipart::MultipartError| -> Problem {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Error::TooLarge {
                what: "the body".to_owned(),
                limit: format!("{limit} bytes"),
            }
            .into();
        }
        Error::invalid("body", error.body_text()).into()
    };
    let (head, body) = request.into_parts();
    let body = body::read(body, limit).await?;
    let mut request = Request::from_parts(head, axum::body::Body::from(body));
    request
        .extensions_mut()
        .remove::<axum::extract::DefaultBodyLimit>();
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| Problem::from(Error::invalid("body", error.body_text())))?;
    let (mut onnx, mut manifest, mut vectors) = (None, None, None);
    while let Some(part) = form.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or("").to_owned();
        let bytes = part.bytes().await.map_err(broken)?;
        match name.as_str() {
            "model" => onnx = Some(bytes),
            "manifest" => manifest = Some(Manifest::from_json(&bytes)?),
            "vectors" => {
                let refused = |reason| Error::refused("the model", reason);
                vectors = Some(Vectors::from_json(&bytes).map_err(refused)?);
            }
            _ => {
                return Err(Error::invalid(
                    name,
                    "no such part; there are model, manifest and vectors",
                )
                .into());
            }
        }
    }
    let missing = |part: &str| Error::invalid(part, "this part of the form is missing");
    Ok((
        onnx.ok_or_else(|| missing("model"))?,
        manifest.ok_or_else(|| missing("manifest"))?,
        vectors,
    ))
}

fn retirement(catalog: &Catalog, entry: &ModelEntry) -> Option<Retirement> {
    let record = &entry.record;
    catalog.retirement(&Item::new(
        Kind::Model,
        &record.manifest.name,
        record.number,
    ))
}

fn shown(catalog: &Catalog, entry: &ModelEntry) -> ModelShown {
    let record = &entry.record;
    ModelShown {
        name: record.manifest.name.clone(),
        version: record.number,
        digest: format!("sha256:{}", record.digest),
        registered_at: record.registered_at,
        retired: retirement(catalog, entry),
        facts: record.facts.clone(),
        parity: record.parity.clone(),
        manifest: record.manifest.clone(),
    }
}
