//! Answers for later, over HTTP and by the program.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::command_line::{bad, good, tidemill};
use super::support::{Server, cards, flight, flights, guest, guests, serve, until};

struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    text: String,
    json: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.expect("the server answers");
    let text = response
        .body_mut()
        .with_config()
        .limit(1 << 30)
        .read_to_string()
        .expect("text");
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        json: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
    }
}

fn get(url: &str, path: &str) -> Answer {
    read(agent().get(format!("{url}{path}")).call())
}

/// Asks for an answer later.
fn later(url: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = agent()
        .post(format!("{url}{path}"))
        .content_type("application/json")
        .header("prefer", "respond-async");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request.send(body))
}

/// Waits until the job is finished; the job.
fn finished(url: &str, job: &Value) -> Value {
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
    until("the job is finished", || {
        Some(get(url, &path).json).filter(|found| found["finished_at"].is_string())
    })
}

/// An answer without what differs from request to request.
fn lasting(answer: &str) -> Value {
    let mut answer: Value = serde_json::from_str(answer).expect("JSON");
    answer
        .as_object_mut()
        .expect("an object")
        .remove("request_id")
        .expect("an id");
    answer
}

#[test]
fn a_job_gets_the_answer_of_a_request() {
    let url = flights().url();
    let path = "/v1/services/flight-delay/score";
    let body = json!({ "rows": [flight(), flight()], "features": true }).to_string();
    let accepted = later(url, path, &[], &body);
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let job = &accepted.json;
    let id = job["id"].as_str().expect("an id");
    assert_eq!(accepted.header("location"), format!("/v1/jobs/{id}"));
    assert_eq!(accepted.header("preference-applied"), "respond-async");
    assert_eq!(
        *job,
        json!({
            "id": id, "state": "queued", "kind": "score", "service": "flight-delay", "service_version": 1,
            "created_at": job["created_at"], "started_at": null, "finished_at": null, "attempts": 0,
            "result_url": format!("/v1/jobs/{id}/result"),
        })
    );
    let done = finished(url, job);
    assert_eq!(
        (&done["state"], &done["attempts"]),
        (&json!("done"), &json!(1))
    );
    let result = get(url, done["result_url"].as_str().expect("a path"));
    assert_eq!(
        (result.status, result.header("content-type")),
        (200, "application/json")
    );
    assert_eq!(
        lasting(&result.text),
        lasting(&flights().post(path, &body).text)
    );

    let listed = get(url, "/v1/jobs?limit=1000").json;
    let listed = listed["jobs"].as_array().expect("jobs");
    assert!(listed.contains(&done));
    assert!(listed.is_sorted_by_key(|job| std::cmp::Reverse(job["id"].as_str())));
    assert_eq!(get(url, "/v1/jobs?limit=0").json, json!({ "jobs": [] }));
}

#[test]
fn what_can_be_refused_at_once_is() {
    let url = flights().url();
    let unknown = later(url, "/v1/services/flight-dely/score", &[], "{}");
    assert_eq!(unknown.status, 404);
    let body = json!({ "inputs": { "carrier": 1 } }).to_string();
    let bad = later(url, "/v1/services/flight-delay/score", &[], &body);
    assert_eq!(
        (bad.status, &bad.json["field"]),
        (400, &json!("inputs.carrier"))
    );
    let model = later(cards().url(), "/v1/services/card-features/score", &[], "{}");
    assert_eq!(model.status, 400, "{}", model.text);

    let full = Server::start(|config| config.jobs.queue = 0);
    full.define(
        "/v1/services",
        "name = \"echo\"\nfeatures = [\"x\"]\n[request]\nx = \"f64\"\n",
    );
    let turned_away = later(
        full.url(),
        "/v1/services/echo/features",
        &[],
        "{\"inputs\":{\"x\":1}}",
    );
    assert_eq!(
        (turned_away.status, turned_away.header("retry-after")),
        (503, "1")
    );
    assert_eq!(turned_away.json["type"], "urn:tidemill:problem:jobs-full");

    let large = Server::start(|config| config.jobs.body_limit = 10);
    large.define(
        "/v1/services",
        "name = \"echo\"\nfeatures = [\"x\"]\n[request]\nx = \"f64\"\n",
    );
    let too_large = later(
        large.url(),
        "/v1/services/echo/features",
        &[],
        "{\"inputs\":{\"x\":1}}",
    );
    assert_eq!(too_large.status, 413);

    let none = get(url, "/v1/jobs/none");
    assert_eq!(none.status, 404);
    assert!(none.text.contains("there is no job"), "{}", none.text);
}

/// What goes wrong while a job runs is kept, and is what its client gets in place of an answer.
#[test]
fn a_job_fails_as_the_request_would() {
    let url = guests().url();
    let path = "/v1/services/panics/features";
    let body = "{\"inputs\":{\"x\":13}}";
    let accepted = later(url, path, &[], body);
    let failed = finished(url, &accepted.json);
    let direct = guests().post(path, body);
    assert_eq!(
        (&failed["state"], &failed["problem"]),
        (&json!("failed"), &direct.json)
    );
    let result = get(url, failed["result_url"].as_str().expect("a path"));
    assert_eq!(
        (result.status, result.header("content-type"), &result.json),
        (500, "application/problem+json", &direct.json)
    );
}

/// While a job runs there is no answer yet; when it is forgotten there is no job.
#[test]
fn a_job_that_waits_can_be_cancelled() {
    let server = Server::start(|config| config.transforms.fuel = 20_000_000_000);
    server.admit(&guest("endless-loop"));
    server.define(
        "/v1/services",
        "name = \"slow\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"endless-loop@1\"\nas = \"guest\"\n",
    );
    let (url, path) = (server.url(), "/v1/services/slow/features");
    // One runs, for long; the next waits.
    let running = later(url, path, &[], "{\"inputs\":{\"x\":13}}").json;
    let waiting = later(url, path, &[], "{\"inputs\":{\"x\":1}}").json;
    let place = format!("/v1/jobs/{}", waiting["id"].as_str().expect("an id"));
    let not_yet = get(url, &format!("{place}/result"));
    assert_eq!((not_yet.status, not_yet.header("retry-after")), (404, "1"));
    assert_eq!(
        (&not_yet.json["type"], &not_yet.json["state"]),
        (&json!("urn:tidemill:problem:not-done"), &json!("queued"))
    );
    let deleted = read(agent().delete(format!("{url}{place}")).call());
    assert_eq!((deleted.status, &deleted.json), (200, &waiting));
    assert_eq!(get(url, &place).status, 404);
    let listed = get(url, "/v1/jobs").json;
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["jobs"][0]["id"], running["id"]);
    let text = server.get("/metrics").text;
    assert!(
        text.contains("tidemill_jobs_total{outcome=\"cancelled\"} 1"),
        "{text}"
    );
}

#[test]
fn a_callback_goes_only_where_an_admin_allows() {
    let secret = TempDir::new().expect("a folder");
    let file = secret.path().join("secret");
    std::fs::write(&file, "0123456789abcdef").expect("it is written");
    let server = Server::start(|config| {
        config.jobs.callback_secret_file = Some(file);
        config.jobs.callback_hosts = vec!["hooks.example.com".to_owned()];
    });
    let service = "name = \"echo\"\nfeatures = [\"x\"]\n[request]\nx = \"f64\"\n";
    server.define("/v1/services", service);
    let path = "/v1/services/echo/features";
    let ask = |url: &str| {
        later(
            server.url(),
            path,
            &[("tidemill-callback", url)],
            "{\"inputs\":{\"x\":1}}",
        )
    };
    let refused = ask("https://hooks.example.net/");
    assert_eq!(
        (refused.status, &refused.json["field"]),
        (400, &json!("Tidemill-Callback"))
    );
    assert!(
        refused.text.contains("jobs.callback_hosts"),
        "{}",
        refused.text
    );
    let accepted = ask("https://hooks.example.com/scored");
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    assert_eq!(accepted.json["callback"]["state"], "pending");

    // Without the preference nothing is sent, and a client that believes otherwise should hear of it.
    let now = agent()
        .post(format!("{}{path}", server.url()))
        .header("tidemill-callback", "https://hooks.example.com/scored");
    let now = read(now.send("{\"inputs\":{\"x\":1}}"));
    assert_eq!(now.status, 400);
    assert!(now.text.contains("Prefer: respond-async"), "{}", now.text);

    let without = later(
        guests().url(),
        "/v1/services/refuses/features",
        &[("tidemill-callback", "https://hooks.example.com/")],
        "{\"inputs\":{\"x\":1}}",
    );
    assert_eq!(without.status, 400);
    assert!(
        without.text.contains("jobs.callback_secret_file"),
        "{}",
        without.text
    );
}

/// What a 202 promised holds when the server is killed the moment after.
#[test]
fn jobs_survive_a_server_that_is_killed() {
    let data = TempDir::new().expect("a folder");
    let (process, url) = serve(data.path());
    let service = data.path().join("service.toml");
    let definition = "name = \"echo\"\nfeatures = [\"x\"]\n[request]\nx = \"f64\"\n";
    std::fs::write(&service, definition).expect("it is written");
    good(
        tidemill(&["service", "register"])
            .arg(&service)
            .args(["--server", &url]),
    );
    let rows: Vec<Value> = (0..20_000).map(|x| json!({ "x": x })).collect();
    let body = json!({ "rows": rows }).to_string();
    let jobs: Vec<Value> = (0..5)
        .map(|_| {
            let accepted = later(&url, "/v1/services/echo/features", &[], &body);
            assert_eq!(accepted.status, 202, "{}", accepted.text);
            accepted.json
        })
        .collect();
    // SIGKILL: nothing is flushed, nobody is told.
    drop(process);

    let (_process, url) = serve(data.path());
    for job in &jobs {
        let done = finished(&url, job);
        assert_eq!(done["state"], "done", "{done}");
        let result = get(&url, done["result_url"].as_str().expect("a path"));
        let results = result.json["results"].as_array().expect("results");
        assert_eq!(results.len(), 20_000);
        assert_eq!(results[19_999]["features"]["x"], 19_999.0);
    }
}

#[test]
fn the_program_asks_later_shows_fetches_and_cancels() {
    let url = flights().url();
    let run = |args: &[&str]| good(tidemill(args).args(["--server", url]));
    let row = flight().to_string();
    let out = run(&["score", "flight-delay", &row, "--later"]);
    let id = out.split_whitespace().nth(1).expect("an id").to_owned();
    assert_eq!(out, format!("job {id}  queued\n"));
    finished(url, &json!({ "id": id }));
    let shown = run(&["job", "show", &id]);
    assert!(
        shown.contains(&format!("job {id}  done")) && shown.contains("flight-delay@1, its score"),
        "{shown}"
    );
    assert!(run(&["job", "list", "--limit", "1000"]).contains(&id));
    let direct = run(&["score", "flight-delay", &row]);
    assert_eq!(lasting(&run(&["job", "result", &id])), lasting(&direct));
    assert_eq!(
        run(&["job", "cancel", &id]),
        format!("job {id} was done and is forgotten\n")
    );
    let gone = bad(tidemill(&["job", "show", &id]).args(["--server", url]));
    let words = format!("there is no job \"{id}\"");
    assert!(gone.contains(&words), "{gone}");
}

/// A client sees and removes its own jobs, and nobody else's; an admin all.
#[test]
fn a_client_sees_its_own_jobs() {
    let (data, admin) = super::access::folder();
    let path = data.path().to_owned();
    let server = Server::start(|config| {
        config.data_dir = path;
        config.access.required = true;
    });
    let token = |name: &str| {
        let args = [
            "token",
            "create",
            name,
            "--role",
            "client",
            "--server",
            server.url(),
        ];
        good(tidemill(&args).env("TIDEMILL_TOKEN", &admin))
            .trim()
            .to_owned()
    };
    let (bea, cid) = (token("bea"), token("cid"));
    let ask = |token: &str, request: &str, body: &str, more: &[&str]| {
        let authorization = super::access::with(token);
        let mut headers = vec![authorization.as_str(), "content-type: application/json"];
        headers.extend(more);
        server.raw(request, &headers, body)
    };
    let service = "{\"name\":\"echo\",\"features\":[\"x\"],\"request\":{\"x\":\"f64\"}}";
    assert_eq!(ask(&admin, "POST /v1/services", service, &[]).status, 201);
    let body = "{\"inputs\":{\"x\":1}}";
    let later = ["prefer: respond-async"];
    let accepted = ask(&bea, "POST /v1/services/echo/features", body, &later);
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let id = accepted.json["id"].as_str().expect("an id");
    let count = |token: &str| {
        let listed = ask(token, "GET /v1/jobs", "", &[]).json;
        listed["jobs"].as_array().map(Vec::len)
    };
    assert_eq!(
        (count(&bea), count(&cid), count(&admin)),
        (Some(1), Some(0), Some(1))
    );
    for request in [
        format!("GET /v1/jobs/{id}"),
        format!("GET /v1/jobs/{id}/result"),
        format!("DELETE /v1/jobs/{id}"),
    ] {
        let answer = ask(&cid, &request, "", &[]);
        assert_eq!(answer.status, 404, "{request}: {}", answer.text);
    }
    assert_eq!(
        ask(&bea, &format!("DELETE /v1/jobs/{id}"), "", &[]).status,
        200
    );
    assert_eq!(count(&admin), Some(0));
}
