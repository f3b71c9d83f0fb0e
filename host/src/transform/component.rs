//! Uploaded bytes, looked at before anything of them is compiled: what they are, and whether they keep to the contract.

use std::borrow::Cow;

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, TypeBounds};

use crate::error::{Error, Result};

/// The contract this host speaks: `wit/transform.wit`, any patch of it.
const CONTRACT: semver::Comparator = semver::Comparator {
    op: semver::Op::Tilde,
    major: 0,
    minor: Some(1),
    patch: None,
    pre: semver::Prerelease::EMPTY,
};
/// [`CONTRACT`] in words.
const TAKEN: &str = "0.1.0 and any later 0.1";
/// The releases of the SDK that speak it.
const SDK: &str = "0.1";
/// The only thing a transform imports: the contract's types, which is nothing at run time.
const TYPES: &str = "tidemill:transform/types@";
const EXPORTS: [&str; 2] = ["describe", "transform"];

/// The outside of a module or a component.
#[derive(Default)]
struct Outline {
    is_component: bool,
    /// `module::name` of a core module, the plain name of a component.
    imports: Vec<String>,
    exports: Vec<String>,
}

/// A component as it is, or made from a raw core module that carries the contract as the SDK embeds it. Refused with
/// the reason: what is no Wasm, is cut off, imports anything (named), speaks another contract, or lacks an export.
/// Says nothing of sizes: see [`super::Engine::load`].
pub fn componentize(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    let outline = Outline::of(bytes).map_err(refused)?;
    if outline.is_component {
        outline.check_contract().map_err(refused)?;
        return Ok(Cow::Borrowed(bytes));
    }
    if let Some(import) = outline.imports.first() {
        return Err(refused(format!(
            "it imports `{import}`{}",
            what_instead(import)
        )));
    }
    if let Some(missing) = EXPORTS
        .iter()
        .find(|name| !outline.exports.iter().any(|export| export == *name))
    {
        return Err(refused(lacks(missing)));
    }
    let component = wit_component::ComponentEncoder::default()
        .module(bytes)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| refused(format!("no component can be made of it: {error:#}")))?;
    Outline::of(&component)
        .and_then(|outline| outline.check_contract())
        .map_err(refused)?;
    Ok(Cow::Owned(component))
}

/// The version of the contract that a component was built for; none where it does not say.
pub fn contract(component: &[u8]) -> Option<String> {
    let outline = Outline::of(component).ok()?;
    let version = outline
        .imports
        .iter()
        .find_map(|import| import.strip_prefix(TYPES))?;
    Some(version.to_owned())
}

pub(super) fn refused(reason: String) -> Error {
    Error::refused("the component", reason)
}

impl Outline {
    fn of(bytes: &[u8]) -> Result<Outline, String> {
        if !bytes.starts_with(b"\0asm") {
            return Err("it is no WebAssembly: it does not begin with \\0asm".to_owned());
        }
        let mut outline = Outline::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(malformed)?;
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                payload if depth == 0 => outline.read_top(payload).map_err(malformed)?,
                _ => {}
            }
        }
        Ok(outline)
    }

    fn read_top(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.is_component = encoding == Encoding::Component
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    self.imports.push(match import.module {
                        // How a world's own imports are spelled in a module.
                        "$root" => import.name.to_owned(),
                        module => format!("{module}::{}", import.name),
                    });
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    self.exports.push(export?.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    // A name for a type is not a thing to be had from the host.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        self.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_contract(&self) -> Result<(), String> {
        for import in &self.imports {
            let Some(version) = import.strip_prefix(TYPES) else {
                return Err(format!("it imports `{import}`{}", what_instead(import)));
            };
            if !semver::Version::parse(version).is_ok_and(|version| CONTRACT.matches(&version)) {
                return Err(format!(
                    "it was built for the contract tidemill:transform@{version}, and this server takes {TAKEN}: build it \
                     again with tidemill-sdk {SDK}"
                ));
            }
        }
        match EXPORTS
            .iter()
            .find(|name| !self.exports.iter().any(|export| export == *name))
        {
            Some(missing) => Err(lacks(missing)),
            None => Ok(()),
        }
    }
}

pub(super) fn malformed(error: wasmparser::BinaryReaderError) -> String {
    format!(
        "it is malformed or cut off: {} at byte {}",
        error.message(),
        error.offset()
    )
}

fn lacks(export: &str) -> String {
    format!(
        "it exports no `{export}`: a transform is built with tidemill-sdk, as `tidemill transform build` does"
    )
}

fn what_instead(import: &str) -> &'static str {
    match import {
        name if name.contains("wasi") => {
            ", and a transform imports nothing: build it for wasm32-unknown-unknown"
        }
        name if name.contains("wbindgen") => {
            ", and a transform imports nothing: a dependency of it was built for the browser, turn its `js` or `wasm-bindgen` \
             feature off"
        }
        _ => ", and a transform imports nothing",
    }
}
