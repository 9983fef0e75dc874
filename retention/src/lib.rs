//! Expiry: what is past its time becomes unreadable at once and is then really gone.
