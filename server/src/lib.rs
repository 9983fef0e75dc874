//! The service: routes, configuration, authorisation, jobs and the command line.
