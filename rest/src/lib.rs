//! The Connect REST API: routes, wire model, error mapping, forwarding
