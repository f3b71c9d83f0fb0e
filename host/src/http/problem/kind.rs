//! The problem types there are. Nothing is answered with another, and the OpenAPI document is made from this table.

use serde::{Serialize, Serializer};

/// What a problem document of a kind says, beside `type`, `title`, `status` and `detail`.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub name: &'static str,
    pub form: Form,
    /// Whether each problem of the kind has it.
    pub always: bool,
    pub doc: &'static str,
}

/// What stands in a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    Texts,
    Number,
    /// What admission showed.
    Report,
    /// Name, version and digest.
    Transform,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The end of the problem's `type`, and a word for metrics.
    pub name: &'static str,
    pub status: u16,
    pub title: &'static str,
    pub doc: &'static str,
    pub members: &'static [Member],
}

macro_rules! kinds {
    ($($kind:ident: $status:literal, $name:literal, $title:literal, [$($member:expr),*], $doc:literal;)+) => {
        /// A problem type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $doc] $kind,)+
        }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$kind),+];

            pub const fn row(self) -> Row {
                match self {
                    $(Kind::$kind => Row {
                        name: $name,
                        status: $status,
                        title: $title,
                        doc: $doc,
                        members: &[$($member),*],
                    },)+
                }
            }
        }
    };
}

kinds! {
    InvalidRequest: 400, "invalid-request", "The request does not fit", [FIELD, LINE],
        "What was sent cannot be read, or does not fit; `field` names the place.";
    TlsNeeded: 400, "tls-needed", "This port speaks TLS", [],
        "Plain HTTP came to a port that speaks TLS.";
    Unauthenticated: 401, "unauthenticated", "A valid token is needed", [],
        "Without a token, or with one that is unknown, expired or revoked; the header `WWW-Authenticate` says how to send one.";
    Forbidden: 403, "forbidden", "Another role is needed", [NEEDED],
        "The token's role may not do that.";
    NotLocal: 403, "not-local", "The request is from elsewhere", [],
        "Without a token, on behalf of another site.";
    NotFound: 404, "not-found", "There is no such thing", [KIND, NAME, KNOWN],
        "Nothing of that kind goes by that name; `known` lists what there is.";
    NotDone: 404, "not-done", "The job is not done yet", [STATE],
        "The job has no answer yet; the header `Retry-After` says when to ask again.";
    NoRoute: 404, "no-route", "There is no such route", [KNOWN],
        "Nothing is at that address.";
    MethodNotAllowed: 405, "method-not-allowed", "Another method is needed", [],
        "The address is answered, but not with that method; the header `Allow` lists those it is answered with.";
    SlowBody: 408, "slow-body", "The body did not come in time", [FIELD],
        "The body of a request came more slowly than the server waits.";
    Conflict: 409, "conflict", "The name is taken", [],
        "Something else is there, or something in use stands against it.";
    TooLarge: 413, "too-large", "Over a limit", [LIMIT],
        "The body, or the number of rows in it, is over a limit of the server's configuration.";
    UnsupportedMediaType: 415, "unsupported-media-type", "Unsupported media type", [],
        "The body's content type, or its encoding, is not read here.";
    Refused: 422, "refused", "Not admitted", [REPORT],
        "An artifact or a definition is not admitted, for the reason that `detail` gives. Nothing of it was kept.";
    RowRefused: 422, "row-refused", "A transform refused the row", [TRANSFORM, ROW, MESSAGE],
        "The row is wrong, says the transform.";
    TooManyAttempts: 429, "too-many-attempts", "Too many wrong tokens", [],
        "Wrong tokens came from this address too often; a valid one is still taken.";
    TransformFailed: 500, "transform-failed", "A transform failed", [TRANSFORM, CAUSE, FRAMES],
        "A transform trapped, ran out of fuel or memory, or answered nonsense; its author has to mend it.";
    ModelFailed: 500, "model-failed", "The model failed", [MODEL],
        "The model could not score the vector.";
    Internal: 500, "internal", "The server failed", [],
        "The server's log says more.";
    StoreFailed: 503, "store-failed", "The online store failed", [],
        "The online store could not be read or written.";
    Busy: 503, "busy", "Too busy", [],
        "There is more to do than is done at once; nothing of it was begun.";
    Overloaded: 503, "overloaded", "The server has more to do than it can", [],
        "Nothing of the request was done; the header `Retry-After` says when to come again.";
    AuditFailed: 503, "audit-failed", "The audit log cannot be written", [],
        "Nothing is changed that cannot be written down.";
    JobsFull: 503, "jobs-full", "Too many jobs wait", [JOBS],
        "As many jobs wait as may; the header `Retry-After` says when to come again.";
    Late: 504, "late", "Not there in time", [],
        "The deadline of the service, or the time a look-up may take, has passed.";
}

const FIELD: Member = text("field", "The place: `rows[3].departed`.");
const LINE: Member = Member {
    name: "line",
    form: Form::Number,
    always: false,
    doc: "Of a stream: the line of the body, from 1.",
};
const KIND: Member = text("kind", "What was looked for.");
const NAME: Member = text("name", "By which name.");
const KNOWN: Member = texts("known", "What there is.");
const LIMIT: Member = text("limit", "With its unit.");
const NEEDED: Member = text("needed", "The least role that may.");
const STATE: Member = text("state", "The job's.");
const JOBS: Member = Member {
    name: "limit",
    form: Form::Number,
    always: true,
    doc: "How many may wait.",
};
const MESSAGE: Member = text("message", "In the transform's own words.");
const MODEL: Member = text("model", "`name@number`.");
const CAUSE: Member = text("cause", "In one word: `trap`, `out_of_fuel`.");
const FRAMES: Member = texts(
    "frames",
    "The transform's functions at the fault, innermost first.",
);
const ROW: Member = Member {
    name: "row",
    form: Form::Number,
    always: true,
    doc: "From 0.",
};
const TRANSFORM: Member = Member {
    name: "transform",
    form: Form::Transform,
    always: true,
    doc: "Which transform.",
};

const REPORT: Member = Member {
    name: "report",
    form: Form::Report,
    always: false,
    doc: "Of a transform: what was found out.",
};

const fn text(name: &'static str, doc: &'static str) -> Member {
    let (form, always) = (Form::Text, true);
    Member {
        name,
        form,
        always,
        doc,
    }
}

const fn texts(name: &'static str, doc: &'static str) -> Member {
    let (form, always) = (Form::Texts, true);
    Member {
        name,
        form,
        always,
        doc,
    }
}

impl Kind {
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether the answer has the header `Retry-After`.
    pub const fn says_when(self) -> bool {
        matches!(
            self,
            Kind::NotDone | Kind::TooManyAttempts | Kind::JobsFull | Kind::Overloaded
        )
    }

    /// `urn:tidemill:problem:not-found`.
    pub fn urn(self) -> String {
        format!("urn:tidemill:problem:{}", self.name())
    }
}

/// By its name.
impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
