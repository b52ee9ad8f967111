// Package docs keeps the documents true: its tests run the commands that
// README.md, docs/quickstart.md and simulator/README.md tell a user to type, and
// compare docs/metrics.md with what the running programs serve and docs/actors.md
// with the examples of the runtime. What docs/scaling.md points to must be there.
package docs
