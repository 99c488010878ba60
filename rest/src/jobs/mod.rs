//! Jobs on the wire: what is asked of them ([`asked`]), how they are shown ([`shown`]), and what happens to them as a stream
//! ([`stream`]).

pub(crate) mod asked;
pub(crate) mod shown;
pub(crate) mod stream;
