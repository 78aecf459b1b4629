//! The SBOM of an initramfs: CycloneDX 1.5, as JSON. Each file with its SHA-256; of /init also what is linked
//! into it, of modules the licence that they state. It names no time and no serial number: the same
//! inputs give the same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::Error;
use crate::archive::Archive;

/// What is known of a module beside its bytes.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The licence in the kernel's words: no SPDX expression.
    pub(crate) licence: String,
    /// The kernel's release.
    pub(crate) release: String,
}

/// The SBOM of `archive`, compressed as `image`. `modules` are known by their paths from the root on;
/// `program` is the SBOM of /init, found at the path beside it.
pub(crate) fn sbom(
    archive: &Archive,
    image: &[u8],
    modules: &BTreeMap<String, About>,
    program: Option<(&Path, &[u8])>,
) -> Result<String, Error> {
    let mut bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "file",
            "bom-ref": "initramfs",
            "name": "initramfs",
            "hashes": hashes(image),
        } },
    });
    let mut files = Vec::new();
    let mut edges = Vec::new();
    for (path, data) in archive.files() {
        let mut file = json!({
            "type": "file",
            "bom-ref": reference(&path),
            "name": path,
            "hashes": hashes(data),
        });
        if let Some(About { licence, release }) = modules.get(&path) {
            file["version"] = release.as_str().into();
            if !licence.is_empty() {
                file["licenses"] = json!([{ "license": { "name": licence } }]);
            }
        }
        files.push(file);
    }
    let refs: Vec<Value> = files.iter().map(|file| file["bom-ref"].clone()).collect();
    edges.push(json!({ "ref": "initramfs", "dependsOn": refs }));
    if let Some((path, text)) = program {
        let bad = || Error::BadSbom { path: path.to_owned() };
        let mut program: Value = serde_json::from_slice(text).map_err(|_other| bad())?;
        let mut list = |key: &str| match program[key].take() {
            Value::Array(list) => Ok(list),
            _ => Err(bad()),
        };
        let (mut parts, mut more) = (list("components")?, list("dependencies")?);
        let own = program["metadata"]["component"].take();
        if !own.is_object() {
            return Err(bad());
        }
        edges.push(json!({ "ref": reference("/init"), "dependsOn": [own["bom-ref"]] }));
        edges.append(&mut more);
        files.push(own);
        files.append(&mut parts);
    }
    bom["components"] = files.into();
    bom["dependencies"] = edges.into();
    Ok(format!("{bom:#}\n"))
}

fn reference(path: &str) -> String {
    format!("file:{path}")
}

fn hashes(data: &[u8]) -> Value {
    let hex: String = digest(&SHA256, data).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    json!([{ "alg": "SHA-256", "content": hex }])
}
