//! What tells this node from others: for URLs that name it.

use crate::config::Node;
use crate::net::Up;
use std::fs;
use std::path::Path;

/// The longest value taken.
const VALUE_MAX: usize = 256;

/// This machine, on the network as it is up.
pub(crate) fn node(up: &Up) -> Node {
    let told = machine(Path::new("/sys"));
    Node { mac: Some(up.mac.to_string()), hostname: up.hostname.clone(), ..told }
}

/// What the firmware tells, below `sys` (`/sys`): by DMI, or a device tree.
fn machine(sys: &Path) -> Node {
    let read = |path: &str| {
        let text = fs::read(sys.join(path)).ok()?;
        let text = String::from_utf8_lossy(&text);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty() && text.len() <= VALUE_MAX).then(|| text.to_owned())
    };
    Node {
        uuid: read("class/dmi/id/product_uuid").map(|uuid| uuid.to_ascii_lowercase()),
        serial: read("class/dmi/id/product_serial")
            .or_else(|| read("firmware/devicetree/base/serial-number")),
        ..Node::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_firmware_tells() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(machine(sys.path()), Node::default());
        let (dmi, tree) =
            (sys.path().join("class/dmi/id"), sys.path().join("firmware/devicetree/base"));
        fs::create_dir_all(&dmi).unwrap();
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("serial-number"), "tree-1\0").unwrap();
        fs::write(dmi.join("product_uuid"), "4C4C4544-0044-3510-8052-B9C04F4E3732\n").unwrap();
        fs::write(dmi.join("product_serial"), " \n").unwrap();
        let node = machine(sys.path());
        assert_eq!(node.uuid.as_deref(), Some("4c4c4544-0044-3510-8052-b9c04f4e3732"));
        assert_eq!(node.serial.as_deref(), Some("tree-1"));
        fs::write(dmi.join("product_serial"), "5N0N2\n").unwrap();
        assert_eq!(machine(sys.path()).serial.as_deref(), Some("5N0N2"));
    }
}
