//! FileStream source and sink
