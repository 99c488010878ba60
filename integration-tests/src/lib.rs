//! Testbed, scenarios and the quickstart
