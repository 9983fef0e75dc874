//! From SQL to a private query to a release.
