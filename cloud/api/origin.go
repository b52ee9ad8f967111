package api

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// guard keeps other web sites away from an API that has no sign-in but is only
// served on loopback, where every browser of this machine reaches it: a page of
// another origin may not change anything (Fetch Metadata, as
// http.CrossOriginProtection reads it), and a name that an attacker's DNS points
// at this machine (DNS rebinding) is not answered at all.
func guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteProblem(w, http.StatusForbidden, fmt.Sprintf("%s %s: asked for by a page of another origin (%q)", r.Method, r.URL.Path, r.Header.Get("Origin")))
	}))
	inner := origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			WriteProblem(w, http.StatusMisdirectedRequest, fmt.Sprintf("this node is not %q: use 127.0.0.1 or localhost", r.Host))
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// loopback reports whether the host of a request, with or without a port, is
// this machine by an address or the one name that cannot be another's (RFC 6761,
// 6.3).
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
