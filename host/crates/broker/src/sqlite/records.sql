-- Version 2: small documents. `no` is the version of a document: it is never used twice.
CREATE TABLE records (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX record_names ON records (name);
