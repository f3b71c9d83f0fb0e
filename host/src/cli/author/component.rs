//! From a core module to a component, or why it is none.

use anyhow::{Result, anyhow, bail};
use wit_component::{ComponentEncoder, DecodedWasm};

/// Encodes a module that Cargo built.
pub fn encode(module: &[u8], name: &str) -> Result<Vec<u8>> {
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode());
    let bytes = encoded.map_err(|error| {
        let hint = "a transform runs without imports, WASI or JavaScript: look among the dependencies of the package \
                    for one that needs a clock, random numbers, files or a browser, and switch that feature off";
        anyhow!("{name} cannot become a component: {error:#}\n{hint}")
    })?;
    if !exports_transform(&bytes)? {
        bail!("there is no transform in {name}: put `#[transform]` on a function in its library");
    }
    Ok(bytes)
}

fn exports_transform(component: &[u8]) -> Result<bool> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        return Ok(false);
    };
    Ok(resolve.worlds[world]
        .exports
        .keys()
        .any(|key| resolve.name_world_key(key) == "transform"))
}
