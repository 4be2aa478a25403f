//! Random patches against the plain JSON document: what the RFCs say of a tree of objects is what happens to the rows.
