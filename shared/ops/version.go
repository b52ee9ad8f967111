// Package ops is what every Atrium program needs to be operated: its version,
// its logger, its exit, and the small HTTP server with health and metrics. It
// knows nothing of what a program does; a program passes in its checks and its
// metrics and gets handlers back.
package ops

import "runtime/debug"

// version is set by the linker (-X), see the Makefile.
var version string

// Version names the build: the tag or commit that the Makefile passed, else
// what the Go tool recorded of the module or its commit, else "unknown".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "unknown"
}
