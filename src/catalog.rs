//! L2: the template repository as immutable bundles.
