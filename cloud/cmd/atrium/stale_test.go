package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

func TestWhatMayBeOldIsSaidBesideIt(t *testing.T) {
	all := building()
	for _, why := range []string{"", "no majority"} {
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if why != "" {
				w.Header().Set(client.StaleHeader, why)
			}
			all.ServeHTTP(w, r)
		}))
		for _, cmd := range []*cobra.Command{newGet(&node.URL), newDescribe(&node.URL)} {
			var out, warned strings.Builder
			cmd.SetOut(&out)
			cmd.SetErr(&warned)
			cmd.SetArgs([]string{"device", "hq/air"})
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			if said := strings.Contains(warned.String(), why+"\n"); said != (why != "") || !strings.Contains(out.String(), "hq/air") {
				t.Errorf("%s, %q: %q on standard error, %q", cmd.Name(), why, warned.String(), out.String())
			}
		}
		node.Close()
	}
}
