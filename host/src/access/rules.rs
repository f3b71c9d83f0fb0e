//! What each route needs, at a glance.

use super::Role;

/// What a request needs, and what the audit log calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The least role that may; None: nobody needs a token.
    pub least: Option<Role>,
    pub kind: Kind,
}

/// Whether a request changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Reads,
    /// Writes rows, often and many: one line of the audit log, when they are written.
    Rows(&'static str),
    /// Changes what is registered or who may do what: a line before, and one after.
    Changes(&'static str),
}

/// The table. `route` is the one that matched, None where none did; `_` stands for its parameters. Whatever is not listed
/// is for clients if it only reads, and for admins if it changes something.
pub fn rule(method: &str, route: Option<&str>) -> Rule {
    use Role::{Admin, Author, Client};
    let Some(route) = route else {
        // Nothing can be read or changed where nothing is.
        return read(Client);
    };
    let mut parts = [""; 8];
    let mut count = 0;
    for (part, place) in route.split('/').skip(1).zip(&mut parts) {
        *place = part;
        count += 1;
    }
    let reads = matches!(method, "GET" | "HEAD" | "OPTIONS");
    match (method, &parts[..count]) {
        (_, ["healthz" | "readyz"]) if reads => Rule {
            least: None,
            kind: Kind::Reads,
        },

        // Asking a service.
        ("POST", ["v1", "services", _, "score" | "features"]) => read(Client),
        // Past rows of views, models: for those who make features.
        ("POST", ["v1", "services", _, "training-rows"]) => read(Author),
        (_, ["v1", "services", _, "bundle"]) if reads => read(Author),
        // What truly happened: models learn from it, so whoever scores is not who says it. It is read with past rows.
        ("POST", ["v1", "services", _, "labels"]) => Rule {
            least: Some(Admin),
            kind: Kind::Rows("label.put"),
        },
        ("POST", ["v1", "services", _, "label-rows"]) => read(Author),
        (_, ["v1", "services", _, "label"]) if reads => read(Author),
        // The statistics name values of past rows.
        (_, ["v1", "services", _, "drift"] | ["v1", "training-sets", _]) if reads => read(Author),

        // Registering.
        ("POST", ["v1", "transforms"]) => change(Author, "transform.register"),
        ("POST", ["v1", "views"]) => change(Admin, "view.register"),
        ("POST", ["v1", "models"]) => change(Admin, "model.register"),
        ("POST", ["v1", "services"]) => change(Admin, "service.register"),
        ("POST", ["v1", "training-sets"]) => change(Admin, "training-set.register"),
        ("POST", ["v1", "views", _, "rows"]) => Rule {
            least: Some(Admin),
            kind: Kind::Rows("view.load"),
        },

        // Moving, retiring, deleting.
        ("PUT", ["v1", "services", _, "aliases", _]) => change(Admin, "alias.move"),
        ("DELETE", ["v1", "services", _, "aliases", _]) => change(Admin, "alias.remove"),
        ("POST", ["v1", "services", _, "aliases", _, "rollback"]) => {
            change(Admin, "alias.rollback")
        }
        ("POST", ["v1", _, _, "retire"]) => change(Admin, "retire"),
        ("POST", ["v1", _, _, "restore"]) => change(Admin, "restore"),
        ("DELETE", ["v1", "transforms" | "views" | "models" | "services", _]) => {
            change(Admin, "delete")
        }

        // Answers for later: everybody's own.
        ("DELETE", ["v1", "jobs", _]) => change(Client, "job.remove"),

        // Who may do what, and who did.
        ("POST", ["v1", "tokens"]) => change(Admin, "token.create"),
        ("DELETE", ["v1", "tokens", _]) => change(Admin, "token.revoke"),
        (_, ["v1", "tokens" | "audit", ..]) if reads => read(Admin),

        // The rest.
        _ if reads => read(Client),
        _ => change(Admin, CHANGE),
    }
}

/// What the audit log calls a change that the table does not know and whose answer does not say.
pub const CHANGE: &str = "change";

fn read(least: Role) -> Rule {
    Rule {
        least: Some(least),
        kind: Kind::Reads,
    }
}

fn change(least: Role, action: &'static str) -> Rule {
    Rule {
        least: Some(least),
        kind: Kind::Changes(action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_read_by_clients_and_changed_by_admins() {
        let least = |method, route| rule(method, Some(route)).least;
        assert_eq!(least("GET", "/v1/anything"), Some(Role::Client));
        assert_eq!(least("GET", "/metrics"), Some(Role::Client));
        for method in ["POST", "PUT", "PATCH", "DELETE", "BREW"] {
            assert_eq!(
                rule(method, Some("/v1/anything")),
                change(Role::Admin, CHANGE)
            );
        }
        assert_eq!(least("GET", "/healthz"), None);
        assert_eq!(least("POST", "/healthz"), Some(Role::Admin));
        assert_eq!(least("GET", "/v1/tokens"), Some(Role::Admin));
        assert_eq!(least("HEAD", "/v1/audit"), Some(Role::Admin));
        assert_eq!(rule("POST", None), read(Role::Client));
        for method in ["GET", "HEAD"] {
            assert_eq!(
                least(method, "/v1/services/{id}/bundle"),
                Some(Role::Author)
            );
        }
        for route in ["/v1/services/{id}/drift", "/v1/training-sets/{id}"] {
            assert_eq!(least("GET", route), Some(Role::Author));
        }
        assert_eq!(least("GET", "/v1/training-sets"), Some(Role::Client));
        assert_eq!(
            rule("DELETE", Some("/v1/views/{id}")),
            change(Role::Admin, "delete")
        );
        let ask = |route| rule("POST", Some(route));
        assert_eq!(ask("/v1/services/{id}/score"), read(Role::Client));
        assert_eq!(
            ask("/v1/services/{id}/score/now"),
            change(Role::Admin, CHANGE)
        );
        assert_eq!(ask("/a/b/c/d/e/f/g/h/i/j"), change(Role::Admin, CHANGE));
        assert_eq!(
            ask("/v1/transforms"),
            change(Role::Author, "transform.register")
        );
    }
}
