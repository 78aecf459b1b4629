//! The SBOM of a program: CycloneDX 1.5, as JSON. It names no time and no serial number, so that it is
//! the same whoever makes it.

use serde_json::{Value, json};

use crate::choice::spdx;
use crate::{Crate, Linked};

impl Linked {
    /// The SBOM, a text of JSON.
    ///
    /// # Errors
    /// When the program's own crate is not among those that are linked.
    pub fn sbom(&self) -> anyhow::Result<String> {
        let program = self.program()?;
        let others = || self.crates.values().filter(|part| *part != program);
        let of = |part: &Crate| {
            let uses = part.uses.iter().map(|(name, version)| reference(name, version));
            json!({
                "ref": reference(&part.name, &part.version),
                "dependsOn": uses.collect::<Vec<_>>(),
            })
        };
        let bom = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": { "component": component("application", program) },
            "components": others().map(|part| component("library", part)).collect::<Vec<_>>(),
            "dependencies": self.crates.values().map(of).collect::<Vec<_>>(),
        });
        Ok(format!("{bom:#}\n"))
    }
}

fn component(kind: &str, part: &Crate) -> Value {
    let reference = reference(&part.name, &part.version);
    let mut component = json!({
        "type": kind,
        "bom-ref": reference,
        "name": part.name,
        "version": part.version,
        "licenses": [{ "expression": spdx(&part.licence) }],
    });
    if let Some(checksum) = &part.checksum {
        component["purl"] = reference.into();
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// The crate as a package URL; `+` has a meaning of its own there.
fn reference(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}
