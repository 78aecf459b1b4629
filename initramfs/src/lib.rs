//! initramfs.
