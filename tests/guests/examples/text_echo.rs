//! Gives back what it takes, in every type there is: no fault, but a way to see that nothing is lost on the way.

use tidemill_sdk::prelude::*;

/// A column of each type.
#[derive(Input)]
pub struct Call<'a> {
    pub flag: Option<bool>,
    pub integer: Option<i64>,
    pub float: Option<f64>,
    pub text: Option<&'a str>,
    pub moment: Option<Timestamp>,
    pub json: Option<Json<'a>>,
    pub flags: Option<Bools<'a>>,
    pub integers: Option<&'a [i64]>,
    pub floats: Option<&'a [f64]>,
    pub texts: Option<Texts<'a>>,
    pub moments: Option<&'a [Timestamp]>,
    pub jsons: Option<Jsons<'a>>,
}

/// The same.
#[derive(Output)]
pub struct Echo<'a> {
    pub flag: Option<bool>,
    pub integer: Option<i64>,
    pub float: Option<f64>,
    pub text: Option<&'a str>,
    pub moment: Option<Timestamp>,
    pub json: Option<Json<'a>>,
    pub flags: Option<Bools<'a>>,
    pub integers: Option<&'a [i64]>,
    pub floats: Option<&'a [f64]>,
    pub texts: Option<Texts<'a>>,
    pub moments: Option<&'a [Timestamp]>,
    pub jsons: Option<Jsons<'a>>,
}

/// What it takes, back.
#[transform(name = "text-echo")]
pub fn text_echo(call: Call) -> Echo {
    let Call {
        flag,
        integer,
        float,
        text,
        moment,
        json,
        flags,
        integers,
        floats,
        texts,
        moments,
        jsons,
    } = call;
    Echo {
        flag,
        integer,
        float,
        text,
        moment,
        json,
        flags,
        integers,
        floats,
        texts,
        moments,
        jsons,
    }
}
