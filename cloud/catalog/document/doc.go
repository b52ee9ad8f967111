// Package document says what a document of the catalog is: YAML that people
// write, of one of five kinds, with a name. It reads files of several such
// documents and judges each by itself, so that the same faults are found where
// a file is (the command line) and where documents are accepted (cloud/catalog).
//
// It stores nothing and asks nobody: whether a document's site exists, or which
// revision it has, is the catalog's to say.
package document
