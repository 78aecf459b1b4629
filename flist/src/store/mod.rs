//! Where contents come from: stores, mirrors, caches, and the fetcher above them.
