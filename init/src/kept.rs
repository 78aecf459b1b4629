//! The network that the node lives on: kept by a thread of its own from the moment it is up, so
//! that what comes later (the other family, other DNS servers) serves the boot too.

use crate::aside;
use crate::net::{self, Up};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

/// The initramfs' own: what this process resolves names by, before and after the switch.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What is known of a network that is being kept.
#[derive(Clone)]
pub(crate) struct Kept(Arc<Mutex<Up>>);

impl Kept {
    /// Keeps the network `up` for the node's life.
    pub(crate) fn begin(up: Up) -> Self {
        let kept = Self(Arc::new(Mutex::new(up.clone())));
        let latest = kept.clone();
        let keep = move || net::keep(up, &|line| log::info!("{line}"), &mut |up| latest.change(up));
        if let Err(e) = aside::start("lease", keep) {
            log::error!("the lease is not renewed: {e}");
        }
        kept
    }

    /// The network as it is now.
    pub(crate) fn up(&self) -> Up {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, up: &Up) {
        log::info!("the network changed: {up}");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = up.clone();
        if let Err(e) = fs::write(RESOLV_CONF, net::resolv_conf(up)) {
            log::warn!("{RESOLV_CONF}: {e}");
        }
    }
}
